// What the words of a caption show: how probable the model found each, and what else it might have
// said. A word is an element with data-probability and data-others, inside a caption.
"use strict";

const tooltip = document.getElementById("tooltip");

// The word that the tooltip is about.
let described = null;

function percent(probability) {
  if (probability < 0.001) return "under 0.1%";
  if (probability > 0.995) return "over 99%";
  return `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)}%`;
}

// Sets textContent, never HTML: a word is text, whatever it looks like.
function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function tooltipRow(word, probability) {
  const row = element("div", "");
  const bar = element("i", "");
  bar.style.width = `${Math.max(100 * probability, 1)}%`;
  row.append(element("span", word), bar, element("b", percent(probability)));
  return row;
}

function showTooltip(word) {
  hideTooltip();
  const { probability, others } = word.dataset;
  const name = word.classList.contains("end") ? "(end)" : word.textContent;
  tooltip.replaceChildren(tooltipRow(name, Number(probability)));
  if (others) {
    tooltip.append(element("p", "it might have said"));
    for (const line of others.split("\n")) {
      const space = line.lastIndexOf(" ");
      tooltip.append(tooltipRow(line.slice(0, space), Number(line.slice(space + 1))));
    }
  }
  tooltip.hidden = false;
  placeTooltip(word.getClientRects()[0]);
  word.setAttribute("aria-describedby", tooltip.id);
  described = word;
}

// Places the tooltip below the word, or above it at the bottom of the window. The coordinates are
// those of the page, so that tooltip and word scroll together.
function placeTooltip(place) {
  const { clientWidth, clientHeight } = document.documentElement;
  const gap = 6;
  tooltip.style.left = "0";
  const rightmost = clientWidth - tooltip.offsetWidth - gap;
  const left = Math.max(Math.min(place.left, rightmost), gap);
  const fitsBelow = place.bottom + gap + tooltip.offsetHeight <= clientHeight;
  const top = fitsBelow ? place.bottom + gap : place.top - gap - tooltip.offsetHeight;
  tooltip.style.left = `${left + scrollX}px`;
  tooltip.style.top = `${Math.max(top, -scrollY) + scrollY}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
  described?.removeAttribute("aria-describedby");
  described = null;
}

const wordAt = (target) => target?.closest?.("[data-probability]");
const wordsIn = (caption) => Array.from(caption.querySelectorAll("[data-probability]"));

function showFor(event) {
  const word = wordAt(event.target);
  if (word) showTooltip(word);
}

// When the pointer leaves a word, the focused word, if any, gets the tooltip back.
function leaveWord() {
  const focused = wordAt(document.activeElement);
  if (focused) showTooltip(focused);
  else hideTooltip();
}

// A caption is one tab stop, and the arrows move between its words.
function makeTabStop(caption) {
  const [first] = wordsIn(caption);
  if (first) first.tabIndex = 0;
}

function focusWord(word) {
  for (const other of wordsIn(word.closest(".words"))) other.tabIndex = -1;
  word.tabIndex = 0;
  word.focus();
}

function pressWordKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") hideTooltip();
  const word = wordAt(event.target);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!word || !step) return;
  const words = wordsIn(word.closest(".words"));
  const isLeftward = getComputedStyle(word).direction === "rtl";
  const next = words[words.indexOf(word) + (isLeftward ? -step : step)];
  if (next) focusWord(next);
  event.preventDefault();
}

// Gives the words of all captions in a part of the page their tooltips.
function describeWords(captions) {
  captions.addEventListener("mouseover", showFor);
  captions.addEventListener("mouseout", leaveWord);
  captions.addEventListener("focusin", showFor);
  captions.addEventListener("focusout", hideTooltip);
  // A touch screen has no hovering: a tapped word is focused.
  captions.addEventListener("click", (event) => {
    const word = wordAt(event.target);
    if (word) focusWord(word);
  });
  document.addEventListener("keydown", pressWordKey);
}

// Both pages can be read without this: it adds tooltips and large photos, search and order.
"use strict";

const find = (name) => document.getElementById(name);
const cards = find("cards");
const tooltip = find("tooltip");
const enlarged = find("enlarged");

// ---- The tooltip of a word: how probable it was, and what else the model might have said ----

const wordAt = (target) => target?.closest?.("[data-tooltip]");

// Below the word, or above it at the bottom of the window. The coordinates are those of the page,
// so that tooltip and word scroll together.
function showTooltip(word) {
  tooltip.textContent = word.dataset.tooltip;
  tooltip.showPopover();
  word.setAttribute("aria-describedby", tooltip.id);
  const { clientWidth, clientHeight } = document.documentElement;
  const { left, top, bottom } = word.getClientRects()[0];
  const { offsetWidth: width, offsetHeight: height } = tooltip;
  const isBelow = bottom + 6 + height <= clientHeight;
  tooltip.style.left = `${Math.max(Math.min(left, clientWidth - width - 6), 6) + scrollX}px`;
  tooltip.style.top = `${Math.max(isBelow ? bottom + 6 : top - 6 - height, 0) + scrollY}px`;
}

// The word under the pointer has the tooltip, or else the one that has the focus.
function updateTooltip(event) {
  const word = (event.type === "mouseover" && wordAt(event.target)) || wordAt(document.activeElement);
  tooltip.hidePopover();
  if (word) showTooltip(word);
}

for (const kind of ["mouseover", "focusin", "focusout"]) {
  document.addEventListener(kind, updateTooltip);
}

// A caption is one tab stop, and the arrows move between its words.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tooltip.hidePopover();
  const word = wordAt(event.target);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!word || !step || event.altKey) return;
  const words = [...word.closest(".words").querySelectorAll("[data-tooltip]")];
  const isLeftward = getComputedStyle(word).direction === "rtl";
  words[words.indexOf(word) + (isLeftward ? -step : step)]?.focus();
  event.preventDefault();
});

// ---- Large photos ----

cards.addEventListener("click", (event) => {
  if (!event.target.closest(".enlarge")) return;
  enlarged.replaceChildren(event.target.closest(".card").cloneNode(true));
  enlarged.querySelector(".enlarge").setAttribute("aria-label", "close");
  enlarged.showModal();
});

// A click anywhere but on the captions, which one may want to copy, closes it.
enlarged.addEventListener("click", (event) => {
  if (!event.target.closest(".texts")) enlarged.close();
});

// ---- Search and order, on the page of results ----

const search = find("search");
const order = find("order");
const asGiven = [...cards.children];

// Lower case, with one space before each word and after the last.
function simplify(text) {
  return ` ${text.normalize("NFKC").toLowerCase()} `.replace(/[^\p{L}\p{M}\p{N}]+/gu, " ");
}

function textOf(card, selector) {
  return simplify([...card.querySelectorAll(selector)].map((part) => part.textContent).join(" "));
}

// Scripts that put no blanks between words.
const unspaced =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;

// "man" must not find every woman, so captions are searched for the beginnings of words. Titles are
// searched for any part, because the words in a file name are often not separated.
function filterCards() {
  const wanted = simplify(search.value).split(" ").filter(Boolean);
  for (const card of asGiven) {
    const [title, words] = [textOf(card, "h2"), textOf(card, ".words, li")];
    card.hidden = !wanted.every(
      (word) => words.includes(unspaced.test(word) ? word : ` ${word}`) || title.includes(word),
    );
  }
  const found = asGiven.filter((card) => !card.hidden).length;
  find("status").textContent = `${found} of ${asGiven.length} photos`;
}

// Cards without a value come last, whether the smallest or the largest is first.
function sortCards() {
  const [index, sign] = order.value.split(" ").map(Number);
  const rows = asGiven.map((card) => [JSON.parse(card.dataset.values)[index], card]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || sign * (a - b));
  cards.replaceChildren(...rows.map(([, card]) => card));
}

search?.addEventListener("input", filterCards);
order?.addEventListener("change", sortCards);
// Back at the top, where the first of them is.
for (const control of [search, order]) control?.addEventListener("input", () => scrollTo(0, 0));

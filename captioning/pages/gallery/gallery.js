// The page can be read without this script and words.js, which it uses: they add search, order,
// keys, the tooltip and large photos.
"use strict";

const find = (name) => document.getElementById(name);
const gallery = find("cards");
const search = find("search");
const order = find("order");
const shading = find("shading");
const enlarged = find("enlarged");

const asGiven = Array.from(gallery.children);
const hasWords = gallery.querySelector("[data-probability]") !== null;

// ---- Search and order ----

// Lower case, with one space before each word and after the last.
function simplify(text) {
  return ` ${text.normalize("NFKC").toLowerCase()} `.replace(/[^\p{L}\p{M}\p{N}]+/gu, " ");
}

// Gathered at the first search, so that the page opens sooner.
let texts = null;

function gatherText(card) {
  const textOf = (selector) =>
    simplify(Array.from(card.querySelectorAll(selector), (part) => part.textContent).join(" "));
  return { title: textOf("h2"), words: textOf(".words, .references li") };
}

// Scripts that put no blanks between words.
const unspaced =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;

// "man" must not find every woman, so captions are searched for the beginnings of words. Titles are
// searched for any part, because the words in a file name are often not separated.
function matches(text, wanted) {
  return wanted.every((word) => {
    const start = unspaced.test(word) ? word : ` ${word}`;
    return text.words.includes(start) || text.title.includes(word);
  });
}

function filterCards() {
  texts ??= asGiven.map(gatherText);
  const wanted = simplify(search.value).split(" ").filter(Boolean);
  asGiven.forEach((card, place) => {
    card.hidden = !matches(texts[place], wanted);
  });
  showCount(wanted.length > 0);
  showFirst();
}

function showCount(isFiltered) {
  const found = asGiven.filter((card) => !card.hidden).length;
  const all = `${asGiven.length.toLocaleString("en")} photo${asGiven.length === 1 ? "" : "s"}`;
  find("count").textContent = isFiltered ? `${found.toLocaleString("en")} of ${all}` : all;
  find("nothing").hidden = found > 0 || !isFiltered;
}

// Every order that applies: its name, the index of its number among a card's values, and whether
// the largest comes first.
const orders = [["as given", null]];
JSON.parse(gallery.dataset.decodings).forEach((name, place) => {
  orders.push([`${name}: best first`, place + 1, true]);
  orders.push([`${name}: worst first`, place + 1, false]);
});
if (hasWords) orders.push(["surest first", 0, true], ["least sure first", 0, false]);

function sortCards() {
  const [, place, largestFirst] = orders[order.selectedIndex];
  let cards = asGiven;
  if (place !== null) {
    const rows = asGiven.map((card) => ({ card, value: JSON.parse(card.dataset.values)[place] }));
    const sign = largestFirst ? -1 : 1;
    // Cards without a number come last in either direction.
    const isMissing = (row) => Number(row.value === null);
    rows.sort((a, b) => isMissing(a) - isMissing(b) || sign * (a.value - b.value));
    cards = rows.map((row) => row.card);
  }
  gallery.replaceChildren(...cards);
  showFirst();
}

// After a search or sort, a reader who has scrolled down is taken back to the first card.
function showFirst() {
  hideTooltip();
  if (gallery.getBoundingClientRect().top < 0) gallery.scrollIntoView();
}

// ---- The view in the address, so that it can be linked and the back button returns to it ----

function writeAddress(isTyping) {
  const view = new URLSearchParams();
  if (search.value.trim()) view.set("search", search.value);
  if (order.selectedIndex > 0) view.set("order", order.value);
  // Words that are typed are one step back, not one for each letter.
  const change = isTyping && history.state?.isTyping ? "replaceState" : "pushState";
  history[change]({ isTyping }, "", `#${view}`);
}

function readAddress() {
  const view = new URLSearchParams(location.hash.slice(1));
  search.value = view.get("search") ?? "";
  order.value = view.get("order") ?? "";
  // A name that no order has selects none.
  if (order.selectedIndex < 0) order.selectedIndex = 0;
  filterCards();
  sortCards();
}

// ---- Large photos ----

// Shows the photo of a card with its captions.
function enlarge(card) {
  const copies = [".photo img", ".texts"].map((part) => card.querySelector(part).cloneNode(true));
  for (const word of copies[1].querySelectorAll("[tabindex]")) word.removeAttribute("tabindex");
  enlarged.lastElementChild.replaceChildren(...copies);
  enlarged.showModal();
}

// ---- Keys ----

function moveToCard(step) {
  const cards = Array.from(gallery.children).filter((card) => !card.hidden);
  if (!cards.length) return;
  let place = cards.indexOf(document.activeElement?.closest(".card")) + step;
  if (!document.activeElement?.closest(".card")) {
    // Without a focused card, the first one whose top is visible.
    const below = cards.findIndex((card) => card.getBoundingClientRect().top >= 0);
    place = (below < 0 ? cards.length : below) + Math.min(step, 0);
  }
  const card = cards[Math.min(Math.max(place, 0), cards.length - 1)];
  card.tabIndex = -1;
  card.focus({ preventScroll: true });
  card.scrollIntoView();
}

const steps = { j: 1, n: 1, k: -1, p: -1 };

function pressKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || enlarged.open) return;
  if (event.key === "Escape" && event.target === search) {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  } else if (event.target === search || event.target === order) {
    // Letters typed there are text, not commands.
    return;
  } else if (event.key === "/") {
    search.focus();
    search.select();
  } else if (Object.hasOwn(steps, event.key)) {
    moveToCard(steps[event.key]);
  } else {
    return;
  }
  event.preventDefault();
}

// ---- Start ----

search.addEventListener("input", () => {
  filterCards();
  writeAddress(true);
});
order.addEventListener("change", () => {
  sortCards();
  writeAddress(false);
});
describeWords(gallery);
gallery.addEventListener("click", (event) => {
  if (event.target.closest(".enlarge")) enlarge(event.target.closest(".card"));
});
// A click anywhere but on the captions, which one may want to copy, closes the large photo.
enlarged.addEventListener("click", (event) => {
  if (!event.target.closest(".texts")) enlarged.close();
});
document.addEventListener("keydown", pressKey);
addEventListener("popstate", readAddress);

// The line above a table or plot says when it must be scrolled.
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.previousElementSibling.hidden = target.scrollWidth <= target.clientWidth;
  }
});
for (const box of document.querySelectorAll(".wide")) sizes.observe(box);

shading.hidden = !hasWords;
order.append(...orders.map(([name]) => new Option(name)));
order.parentElement.hidden = order.length < 2;
showCount(false);
for (const caption of gallery.querySelectorAll(".words")) makeTabStop(caption);
for (const part of document.querySelectorAll("[data-scripted]")) part.hidden = false;
if (location.hash) readAddress();

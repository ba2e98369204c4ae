// Adds tooltips and large photos to both pages, and search and order to the page of results.
"use strict";

const find = (name) => document.getElementById(name);
const [cards, tooltip, enlarged] = ["cards", "tooltip", "enlarged"].map(find);

// ---- Tooltips: how probable a word was, and what else the model might have said ----

const wordAt = (target) => target?.closest?.("[data-tooltip]");

// The word under the pointer has the tooltip, or else the one that has the focus.
function showTooltip(event) {
  const pointed = event.type === "mouseover" && wordAt(event.target);
  const word = pointed || wordAt(document.activeElement);
  tooltip.hidePopover();
  if (!word) return;
  tooltip.textContent = word.dataset.tooltip;
  tooltip.showPopover({ source: word });
  word.setAttribute("aria-describedby", tooltip.id);
}

for (const kind of ["mouseover", "focusin", "focusout"]) document.addEventListener(kind, showTooltip);

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

// ---- Large photos; a click on the captions, which one may want to copy, leaves them open ----

cards.addEventListener("click", ({ target }) => {
  if (!target.closest(".enlarge")) return;
  enlarged.replaceChildren(target.closest(".card").cloneNode(true));
  enlarged.querySelector(".enlarge").ariaLabel = "close";
  enlarged.showModal();
});
enlarged.addEventListener("click", ({ target }) => target.closest(".texts") || enlarged.close());

// ---- Search and order, of the page of results ----

const [search, order] = ["search", "order"].map(find);
const asGiven = [...cards.children];

// In lower case, with one space before each word.
function simplify(text) {
  return ` ${text.normalize("NFKC").toLowerCase()}`.replace(/[^\p{L}\p{M}\p{N}]+/gu, " ");
}

function textOf(card, selector) {
  const parts = Array.from(card.querySelectorAll(selector), (part) => part.textContent);
  return simplify(parts.join(" "));
}

// "man" must not find every woman, but scripts without blanks have no beginnings of words, and in
// names words are often not separated.
const unspaced =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;
const begin = (word) => (unspaced.test(word) ? word : ` ${word}`);

search?.addEventListener("input", () => {
  const wanted = simplify(search.value).trim().split(" ");
  for (const card of asGiven) {
    const [title, words] = [textOf(card, "h2"), textOf(card, ".words, li")];
    card.hidden = !wanted.every((word) => words.includes(begin(word)) || title.includes(word));
  }
  const found = asGiven.filter((card) => !card.hidden).length;
  find("status").textContent = `${found} of ${asGiven.length} photos`;
  scrollTo(0, 0);
});

// Cards without a value come last, whether the smallest or the largest is first.
order?.addEventListener("change", () => {
  const [index, sign] = order.value.split(" ").map(Number);
  const rows = asGiven.map((card) => [JSON.parse(card.dataset.values)[index], card]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || sign * (a - b));
  cards.replaceChildren(...rows.map(([, card]) => card));
  scrollTo(0, 0);
});

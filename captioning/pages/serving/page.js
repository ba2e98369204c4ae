// Sends each photo to the server and shows its caption. Needs words.js.
"use strict";

const find = (name) => document.getElementById(name);
const cards = find("cards");
const LIMIT = Number(cards.dataset.photos);
const MEGABYTES = Number(cards.dataset.megabytes);

// Photos that are sent at once; the server captions together what waits together.
const AT_ONCE = 4;

// Cards whose photos are still to be sent, the number of those on their way, and what else there is
// to say besides how many have their captions.
let waiting = [];
let sending = 0;
let notice = "";

// ---- Cards ----

function button(text, label, press) {
  const made = element("button", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", press);
  return made;
}

function part(name, className, ...children) {
  const made = element(name, "");
  made.className = className;
  made.append(...children);
  return made;
}

// The browser shows the photo itself until the server's thumbnail comes.
function photoOf(file) {
  const image = element("img", "");
  image.alt = file.name;
  image.src = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(image.src);
    image.replaceWith(part("p", "no-photo", "no preview"));
  });
  return image;
}

function addCard(file) {
  const card = part("article", "card");
  const texts = part("div", "texts", element("h2", file.name), part("p", "waiting", "waiting …"));
  card.append(part("div", "photo", photoOf(file)), texts);
  card.file = file;
  cards.append(card);
  return card;
}

function showError(card, sentence) {
  card.querySelector(".waiting").replaceWith(part("p", "error", sentence));
}

function showCaption(card, answer) {
  const { name } = card.file;
  const image = element("img", "");
  image.alt = name;
  image.src = answer.thumbnail;
  card.querySelector(".photo").replaceChildren(image);
  const confidence = element("span", `confidence ${percent(answer.confidence)}`);
  const copy = button("Copy", `Copy the caption of ${name}`, () => copyText(answer.caption));
  card
    .querySelector(".waiting")
    .replaceWith(part("p", "label", confidence), wordsOf(answer), copy);
  card.line = `${name}\t${answer.caption}`;
}

function wordsOf({ caption, tokens, full_stop: fullStop, language }) {
  const words = part("p", "words");
  if (caption) {
    words.lang = language;
    // Which way it is read is told by its letters.
    words.dir = "auto";
  } else {
    words.append(element("em", "(no words)"));
  }
  // The end is never alone at the beginning of a line.
  const close = part("span", "close", fullStop);
  for (const token of tokens) {
    const word = element("span", token.is_end ? "■" : token.word);
    word.className = `shade${token.shade}`;
    word.dataset.probability = token.probability;
    word.dataset.others = token.alternatives.map((other) => other.join(" ")).join("\n");
    if (token.is_end) {
      word.classList.add("end");
      word.setAttribute("role", "img");
      word.setAttribute("aria-label", "end");
    }
    if (token.is_end) close.append("\u00a0", word);
    else words.append(token.blank, word);
  }
  words.append(close);
  makeTabStop(words);
  return words;
}

// ---- Sending ----

function addFiles(files) {
  const room = LIMIT - cards.children.length;
  const left = files.length - room;
  const sentence = `${left} left out: the page holds ${LIMIT} photos. Remove all to add others.`;
  notice = left > 0 ? sentence : "";
  for (const file of files.slice(0, room)) {
    const card = addCard(file);
    if (file.size > MEGABYTES * 1e6) {
      const size = Math.ceil(file.size / 1e6).toLocaleString("en");
      showError(card, `This file is ${size} MB; the limit is ${MEGABYTES} MB.`);
    } else {
      waiting.push(card);
    }
  }
  sendNext();
}

function sendNext() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    caption(waiting.shift()).finally(() => {
      sending -= 1;
      sendNext();
    });
  }
  showCount();
}

async function caption(card) {
  try {
    // Fails for a folder, and for a file that is gone.
    await card.file.slice(0, 1).arrayBuffer();
  } catch {
    showError(card, "This cannot be read: it may be a folder, or have been deleted.");
    return;
  }
  try {
    const response = await fetch("caption", { method: "POST", body: card.file });
    const answer = await response.json();
    if (response.ok) showCaption(card, answer);
    else showError(card, answer.error);
  } catch {
    showError(card, "The program that serves this page does not answer: start it again.");
  }
}

// ---- Bar ----

function say(sentence) {
  find("status").textContent = sentence;
}

function showCount() {
  const all = cards.children.length;
  const captioned = cards.querySelectorAll(".words").length;
  const failed = cards.querySelectorAll(".error").length;
  const ofAll = `${captioned} of ${all} photo${all === 1 ? "" : "s"} captioned`;
  const sentence = failed ? `${ofAll}, ${failed} without caption.` : `${ofAll}.`;
  say(all ? `${sentence} ${notice}` : notice);
  find("clear").hidden = !all;
  find("copy").hidden = find("legend").hidden = !captioned;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(text.includes("\n") ? "All captions are copied." : `Copied: ${text}`);
  } catch {
    say("The browser does not allow copying: select the caption and copy it by hand.");
  }
}

function copyAll() {
  const lines = Array.from(cards.children, (card) => card.line).filter(Boolean);
  copyText(`${lines.join("\n")}\n`);
}

function clearAll() {
  waiting = [];
  notice = "";
  cards.replaceChildren();
  hideTooltip();
  showCount();
  find("files").focus();
}

// ---- Start ----

find("files").addEventListener("change", (event) => {
  addFiles(Array.from(event.target.files));
  // Otherwise the same file could not be chosen again.
  event.target.value = "";
});
find("copy").addEventListener("click", copyAll);
find("clear").addEventListener("click", clearAll);

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) addFiles(Array.from(event.clipboardData.files));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const files = Array.from(event.dataTransfer.files);
  if (files.length) addFiles(files);
  else say("That is not a file: save the picture first, then drop its file.");
});

describeWords(cards);
for (const scripted of document.querySelectorAll("[data-scripted]")) scripted.hidden = false;

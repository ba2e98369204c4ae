// Sends each photo to the server and puts the card that it answers with on the page; after page.js.

const { photos, megabytes } = cards.dataset;
const say = (sentence) => (find("status").textContent = sentence);
const failWith = (sentence) => () => Promise.reject(new Error(sentence));

// What is said besides how many photos have their captions, and the end of all that is being sent.
let notice = "";
let sending = Promise.resolve();

function showCount() {
  const count = (selector) => cards.querySelectorAll(selector).length;
  const failed = count(".failed") ? `, ${count(".failed")} without caption` : "";
  const captioned = `${count(".caption")} of ${count(".card")} captioned${failed}.`;
  say(`${count(".card") ? captioned : ""} ${notice}`);
}

function addPhotos(files) {
  const room = photos - cards.children.length;
  const left = files.length - room;
  notice = left > 0 ? `${left} left out: the page holds ${photos}. Remove all to add others.` : "";
  for (const file of [...files].slice(0, room)) {
    const card = find("waiting").content.firstElementChild.cloneNode(true);
    card.querySelector("h2").textContent = file.name;
    cards.append(card);
    // One after the other, as they are captioned.
    sending = sending.then(() => caption(file, card)).then(showCount);
  }
  showCount();
}

async function caption(file, card) {
  // It was removed meanwhile.
  if (!card.isConnected) return;
  try {
    card.outerHTML = await send(file);
  } catch (error) {
    card.classList.add("failed");
    card.querySelector(".no-photo").textContent = error.message;
  }
}

async function send(file) {
  if (file.size > megabytes * 1e6) return failWith(`This file is larger than ${megabytes} MB.`)();
  const unreadable = "This cannot be read: it may be a folder, or have been deleted.";
  const body = await file.arrayBuffer().catch(failWith(unreadable));
  const address = `caption?${new URLSearchParams({ name: file.name })}`;
  const gone = "The program that serves this page does not answer: start it again.";
  const response = await fetch(address, { method: "POST", body }).catch(failWith(gone));
  const answer = await response.text();
  return response.ok ? answer : failWith(answer)();
}

find("files").addEventListener("change", ({ target }) => {
  addPhotos(target.files);
  // Otherwise the same file could not be chosen again.
  target.value = "";
});
document.addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  addPhotos(event.dataTransfer.files);
});
find("copy").addEventListener("click", () => {
  const textOf = (card) => (part) => card.querySelector(part).textContent.trim();
  const captioned = [...cards.querySelectorAll(".card:has(.caption)")];
  const lines = captioned.map((card) => `${["h2", ".words"].map(textOf(card)).join("\t")}\n`);
  const refused = "The browser does not allow copying: select the captions and copy them by hand.";
  // Only localhost and https have a clipboard.
  const copying = navigator.clipboard?.writeText(lines.join("")) ?? Promise.reject();
  copying.then(() => say("All captions are copied."), () => say(refused));
});
find("remove").addEventListener("click", () => {
  cards.replaceChildren();
  notice = "";
  showCount();
  find("files").focus();
});

// Sends each photo to the server and puts the card that it answers with on the page; after page.js.

const photos = Number(cards.dataset.photos);
const megabytes = Number(cards.dataset.megabytes);

// What is said besides how many photos have their captions, and the end of all that is being sent.
let notice = "";
let sending = Promise.resolve();

function say(sentence) {
  find("status").textContent = sentence;
}

function showCount() {
  const all = cards.children.length;
  const failed = cards.querySelectorAll(".failed").length;
  const captioned = cards.querySelectorAll(".caption").length;
  const ofAll = `${captioned} of ${all} photo${all === 1 ? "" : "s"} captioned`;
  say(all ? `${ofAll}${failed ? `, ${failed} without caption` : ""}. ${notice}` : notice);
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

const failWith = (sentence) => () => {
  throw new Error(sentence);
};

async function send(file) {
  if (file.size > megabytes * 1e6) failWith(`This file is larger than ${megabytes} MB.`)();
  const unreadable = "This cannot be read: it may be a folder, or have been deleted.";
  const body = await file.arrayBuffer().catch(failWith(unreadable));
  const address = `caption?${new URLSearchParams({ name: file.name })}`;
  const gone = "The program that serves this page does not answer: start it again.";
  const response = await fetch(address, { method: "POST", body }).catch(failWith(gone));
  const answer = await response.text();
  return response.ok ? answer : failWith(answer)();
}

function copyAll() {
  const lines = [...cards.querySelectorAll(".card:has(.caption)")].map((card) =>
    ["h2", ".words"].map((part) => card.querySelector(part).textContent.trim()).join("\t"),
  );
  navigator.clipboard.writeText(`${lines.join("\n")}\n`).then(
    () => say("All captions are copied."),
    () => say("The browser does not allow copying: select the captions and copy them by hand."),
  );
}

function removeAll() {
  notice = "";
  cards.replaceChildren();
  showCount();
  find("files").focus();
}

find("files").addEventListener("change", (event) => {
  addPhotos(event.target.files);
  // Otherwise the same file could not be chosen again.
  event.target.value = "";
});
find("copy").addEventListener("click", copyAll);
find("remove").addEventListener("click", removeAll);
document.addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const { files } = event.dataTransfer;
  if (files.length) addPhotos(files);
  else say("That is not a file: save the picture first, then drop its file.");
});

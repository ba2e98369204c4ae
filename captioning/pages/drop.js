// Sends each photo to the server and puts the card that it answers with on the page; after page.js.

const say = (sentence) => (find("status").textContent = sentence);

// The end of all that is being sent.
let sending = Promise.resolve();

function showCount() {
  const count = (selector) => cards.querySelectorAll(selector).length;
  const failed = count(".failed") ? `, ${count(".failed")} without caption` : "";
  say(count(".card") ? `${count(".caption")} of ${count(".card")} captioned${failed}.` : "");
}

function addPhotos(files) {
  for (const file of files) {
    const card = find("waiting").content.firstElementChild.cloneNode(true);
    card.querySelector("h2").textContent = file.name;
    cards.append(card);
    // One after the other, as they are captioned.
    sending = sending.then(() => caption(file, card)).then(showCount);
  }
  showCount();
}

async function caption(file, card) {
  try {
    card.outerHTML = await send(file);
  } catch (error) {
    card.classList.add("failed");
    card.querySelector(".no-photo").textContent = error.message;
  }
}

async function send(file) {
  const address = `caption?${new URLSearchParams({ name: file.name })}`;
  const response = await fetch(address, { method: "POST", body: file }).catch(() => {
    throw new Error("This cannot be sent: it is no file any more, or the program has ended.");
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(answer);
  return answer;
}

find("files").addEventListener("change", ({ target }) => addPhotos(target.files));
document.addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  addPhotos(event.dataTransfer.files);
});
find("copy").addEventListener("click", () => {
  const trimmed = (card) => (part) => card.querySelector(part).textContent.trim();
  const captioned = [...cards.querySelectorAll(".card:has(.caption)")];
  const lines = captioned.map((card) => `${["h2", ".words"].map(trimmed(card)).join("\t")}\n`);
  const refused = "The browser does not allow copying: select the captions and copy them by hand.";
  // Only localhost and https have a clipboard.
  const copying = navigator.clipboard?.writeText(lines.join("")) ?? Promise.reject();
  copying.then(() => say("All captions are copied."), () => say(refused));
});

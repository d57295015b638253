"""Recognising published files, fitting them, and fetching them from a server that misbehaves."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aqakit.backbones import weights
from aqakit.backbones.weights import CATALOGUE, Published, download
from aqakit.errors import OptionError, WeightsError
from aqakit.recordings.transforms import CONVENTIONS
from tests.backbones.test_c3d import published as c3d_state
from tests.backbones.test_i3d import hollow as i3d_state
from tests.backbones.test_mscadc import published as mscadc_state

NOTHING = torch.zeros(1)


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def saved(path: Path, state: object, **options: object) -> Path:
    torch.save(state, path, **options)
    return path


class Trunk(nn.Module):
    """Two tensors of a C3D, so that a test needs no whole one."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleDict({"conv5b": nn.Linear(2, 3)})


SMALL = {"conv5b.weight": torch.ones(3, 2), "conv5b.bias": torch.ones(3)}


@pytest.mark.parametrize(
    ("name", "state", "looks_like", "colours"),
    [
        ("rgb_imagenet.pt", i3d_state(), "rgb_imagenet.pt", "minus-one-to-one"),
        ("renamed.pt", i3d_state(), "rgb_imagenet.pt", "minus-one-to-one"),
        ("rgb_charades.pt", i3d_state(classes=157), "rgb_charades.pt", "minus-one-to-one"),
        ("rgb_i3d_pretrained.pt", i3d_state(classes=157), "rgb_i3d_pretrained.pt", "imagenet"),
        ("flow_imagenet.pt", i3d_state(channels=2), "flow_imagenet.pt", "minus-one-to-one"),
        ("model_rgb.pth", i3d_state("hassony2"), "model_rgb.pth", "minus-one-to-one"),
        ("i3d_rgb.pth", i3d_state("hassony2"), "model_rgb.pth", "minus-one-to-one"),
        ("model_flow.pth", i3d_state("hassony2", channels=2), "model_flow.pth", "minus-one-to-one"),
        ("a.pth", under("module.", i3d_state()), "rgb_imagenet.pt", "minus-one-to-one"),
        ("a.pth", {"state_dict": under("module.", i3d_state("hassony2"))}, "model_rgb.pth", "minus-one-to-one"),
        (
            "core.pth",
            {
                "base_model": under("module.backbone.", i3d_state("hassony2")),
                "regressor": {"module.first_layer.0.weight": torch.zeros(2)},
                "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
                "rho_best": np.float64(0.95),
                "L2_min": np.float32(2.5),
                "epoch": np.int64(3),
            },
            "model_rgb.pth",
            "imagenet",
        ),
        (
            "0.93.pt",
            {"i3d": i3d_state(classes=157), "dae": {"fc.weight": NOTHING}, "epoch": 7},
            "rgb_i3d_pretrained.pt",
            "imagenet",
        ),
    ],
)  # fmt: skip
def test_published_i3d_files_are_recognised(
    name: str, state: object, looks_like: str, colours: str, tmp_path: Path
) -> None:
    found = weights.identify(saved(tmp_path / name, state), "i3d")
    assert found.published is not None
    assert (found.published.name, found.colours) == (looks_like, colours)
    assert all(name[0] in "CMlcm" for name in found.tensors)


@pytest.mark.parametrize(
    ("backbone", "state", "convention"),
    [
        ("i3d", i3d_state(), "piergiaj"),
        ("i3d", i3d_state(classes=157), "piergiaj"),
        ("i3d", {"i3d": i3d_state(classes=157)}, "piergiaj"),
        ("i3d", i3d_state("hassony2"), "hassony2"),
        ("i3d", {"base_model": under("module.backbone.", i3d_state("hassony2"))}, "core"),
        ("p3d", {"conv1_custom.weight": NOTHING, "fc.weight": torch.zeros(400, 1)}, "qijiezhao"),
        ("p3d", {"conv1_custom.weight": NOTHING, "fc.weight": torch.zeros(1, 1)}, "s3d"),
        ("p3d", {"stem_norm.weight": NOTHING}, None),
    ],
)
def test_the_contents_tell_whose_code_a_file_belongs_to(
    backbone: str, state: object, convention: str | None, tmp_path: Path
) -> None:
    assert weights.identify(saved(tmp_path / "renamed.pth", state), backbone).convention == convention


def test_files_of_before_2020_are_read_and_floats_of_half_precision_too(tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in SMALL.items()}
    path = saved(tmp_path / "c3d.pickle", half, _use_new_zipfile_serialization=False, pickle_protocol=2)
    assert not path.read_bytes().startswith(b"PK")
    network = Trunk()
    weights.identify(path, "c3d").fit(network)
    assert network.trunk["conv5b"].weight.tolist() == [[1.0, 1.0]] * 3
    assert network.trunk["conv5b"].weight.dtype == torch.float32


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(under("model.", SMALL), tmp_path / "a.safetensors")
    found = weights.identify(tmp_path / "a.safetensors", "c3d")
    assert (found.prefix, set(found.tensors)) == ("model.", set(SMALL))


def test_every_kind_is_told_from_the_others(tmp_path: Path) -> None:
    kinds = {"i3d": i3d_state(), "c3d": c3d_state(dense=False), "mscadc": mscadc_state()}
    for kind, state in kinds.items():
        path = saved(tmp_path / f"{kind}.pth", state)
        for backbone in kinds:
            if backbone == kind:
                assert weights.identify(path, backbone).style.backbone == kind
            else:
                with pytest.raises(WeightsError, match=f"holds the weights of {kind}; {backbone} cannot use them"):
                    weights.identify(path, backbone)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv5b.weight": torch.ones(3, 2)}, r"a.pth looks like .*: conv5b.bias missing$"),
        (SMALL | {"conv9.bias": torch.ones(1)}, r": conv9.bias unexpected$"),
        (SMALL | {"conv5b.bias": torch.ones(4)}, r": conv5b.bias is 4 in the file and 3 in the network$"),
        (
            SMALL | {"conv5b.bias": torch.full((3,), torch.nan)},
            r"conv5b.bias holds values that are not finite",
        ),
        (
            {"conv5b.weight": torch.ones(2, 2), **{f"x{i}": NOTHING for i in range(5)}},
            r"conv5b.bias missing; x0, x1, x2 and 2 more unexpected; conv5b.weight is 2×2 in the file and 3×2",
        ),
    ],
)
def test_every_mismatch_is_named_and_nothing_is_copied(
    state: dict[str, torch.Tensor], message: str, tmp_path: Path
) -> None:
    network = Trunk()
    before = {n: t.clone() for n, t in network.state_dict().items()}
    found = weights.identify(saved(tmp_path / "a.pth", state), "c3d")
    with pytest.raises(WeightsError, match=message):
        found.fit(network)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())


def test_the_class_layer_is_left_out_silently(tmp_path: Path) -> None:
    state = SMALL | {"fc8.weight": torch.zeros(487, 4), "fc8.bias": torch.zeros(487)}
    weights.identify(saved(tmp_path / "a.pth", state), "c3d").fit(Trunk())


def content(name: str, folder: Path) -> bytes:
    whole = saved(folder / "whole", i3d_state()).read_bytes()
    legacy = saved(folder / "legacy", i3d_state(), _use_new_zipfile_serialization=False).read_bytes()
    program = saved(folder / "program", nn.Linear(2, 2)).read_bytes()
    return {
        "empty": b"",
        "text": b"these are not weights\n" * 20,
        "page": b"<!DOCTYPE html><html>log in</html>",
        "seven": b"7z\xbc\xaf\x27\x1c" + bytes(100),
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "cut": whole[: len(whole) // 2],
        "cut old": legacy[: len(legacy) // 2],
        "program": program,
        "number": saved(folder / "n", {"epoch": 3}).read_bytes(),
        "noise": bytes(range(256)) * 9,
    }[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "damaged"),
        ("text", "damaged"),
        ("page", "web page"),
        ("seven", "7-Zip"),
        ("pointer", "git lfs pull"),
        ("cut", "damaged"),
        ("cut old", "damaged"),
        ("program", "would execute code"),
        ("number", "no tensors"),
        ("noise", "damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_weights_file_is_refused_in_a_sentence(name: str, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content(name, tmp_path))
    with pytest.raises(WeightsError) as caught:
        weights.identify(path, "i3d")
    assert str(path) in str(caught.value)
    if suffix == ".pth":
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "harm",))

    path = saved(tmp_path / "a.pth", {"conv5b.weight": NOTHING, "more": Harm()})
    with pytest.raises(WeightsError, match="would execute code"):
        weights.identify(path, "c3d")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (under("fold0.", SMALL) | under("fold1.", SMALL), "holds 2 networks, fold0., fold1."),
        (
            {"layer1.0.conv1.weight": NOTHING},
            "such as layer1.0.conv1.weight, which is not .* form of c3d; .*conv5b.weight",
        ),
    ],
)
def test_what_is_not_clear_is_refused(state: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        weights.identify(saved(tmp_path / "a.pth", state), "c3d")


def test_the_catalogue_is_complete_and_consistent() -> None:
    rows = weights.catalogue()
    assert {row["backbone"] for row in rows} == {"i3d", "c3d", "mscadc", "p3d", "blazepose"}
    assert all(row["colours"] in CONVENTIONS for row in rows)
    assert all(row["origin"].startswith("https://") and row["licence"] and row["get"] for row in rows)
    assert {entry.style for entry in CATALOGUE if entry.form == "tensors"} <= set(weights.STYLES)
    names = [name for entry in CATALOGUE for name in (entry.name, *entry.also)]
    assert len(names) == len(set(names))


def test_a_file_is_found_by_path_or_by_its_published_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"no such file; download it with: aqakit weights get rgb_imagenet\.pt"):
        weights.locate(Path("rgb_imagenet.pt"))
    with pytest.raises(WeightsError, match=r"no such file; get it from https://.* \(an archive in three parts"):
        weights.locate(Path("C3D_small_PyTorch_Trained_12.pth"))
    with pytest.raises(WeightsError, match=r"mine\.pt: no such file$"):
        weights.locate(tmp_path / "mine.pt")
    fetched = weights.default_folder() / "rgb_imagenet.pt"
    fetched.parent.mkdir(parents=True)
    fetched.touch()
    assert weights.locate(Path("rgb_imagenet.pt")) == fetched


class Server(BaseHTTPRequestHandler):
    """Sends ``content`` as far as ``stop``, in parts if asked for; says what was asked."""

    content, stop, etag, lengths = b"", -1, '"one"', True
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        begin, asked = 0, self.headers.get("Range")
        type(self).asked.append(asked)
        if self.path.startswith("/to="):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to="))
            self.end_headers()
            return
        if self.path != "/file":
            self.send_error(404)
            return
        if asked and self.headers.get("If-Range") == self.etag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if begin < len(self.content) else 416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
        else:
            self.send_response(200)
        body = self.content[begin:]
        self.send_header("ETag", self.etag)
        if self.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: max(self.stop - begin, 0)] if self.stop >= 0 else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    monkeypatch.setattr(download, "_SCHEMES", ("http",))
    state = {name: tensor.clone() if "conv5" in name else tensor for name, tensor in SMALL.items()}
    state |= {"fc8.weight": torch.randn(487, 300), "fc8.bias": torch.zeros(487)}
    Server.content = saved(tmp_path / "origin", state).read_bytes()
    Server.stop, Server.etag, Server.lengths, Server.asked = -1, '"one"', True, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    about = next(entry for entry in CATALOGUE if entry.name == "c3d.pickle")
    yield replace(
        about,
        url=f"http://127.0.0.1:{server.server_port}/file",
        size=len(Server.content),
        sha256=hashlib.sha256(Server.content).hexdigest(),
    )
    server.shutdown()
    server.server_close()


def test_fetching_shows_progress_and_happens_once(served: Published, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    path = download.fetch(served, tmp_path / "new", lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == Server.content
    assert steps[0] == (0, len(Server.content))
    assert steps[-1] == (len(Server.content), len(Server.content))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert download.fetch(served, tmp_path / "new") == path
    assert len(Server.asked) == 1
    assert [p.name for p in path.parent.iterdir()] == ["c3d.pickle"]


def test_what_was_broken_off_is_gone_on_with(served: Published, tmp_path: Path) -> None:
    Server.stop = 300_000
    with pytest.raises(WeightsError, match=r"300000 bytes are kept, run it again to resume"):
        download.fetch(served, tmp_path / "new")
    assert not (tmp_path / "new" / "c3d.pickle").exists()
    Server.stop = -1
    assert download.fetch(served, tmp_path / "new").read_bytes() == Server.content
    assert Server.asked == [None, "bytes=300000-"]


def test_halves_of_two_versions_are_not_joined(served: Published, tmp_path: Path) -> None:
    whole, Server.content, Server.stop = Server.content, bytes(len(Server.content)), 300_000
    with pytest.raises(WeightsError):
        download.fetch(served, tmp_path / "new")
    Server.content, Server.etag, Server.stop = whole, '"two"', -1
    assert download.fetch(served, tmp_path / "new").read_bytes() == whole


def test_a_part_that_is_already_whole_is_not_fetched_again(served: Published, tmp_path: Path) -> None:
    (tmp_path / ".c3d.pickle.part").write_bytes(Server.content)
    (tmp_path / ".c3d.pickle.part.version").write_text('"one"')
    assert download.fetch(served, tmp_path).read_bytes() == Server.content
    assert Server.asked == [f"bytes={len(Server.content)}-"]


def test_a_server_that_does_not_say_how_much_it_sends(served: Published, tmp_path: Path) -> None:
    Server.lengths, steps = False, []
    download.fetch(served, tmp_path, lambda done, total: steps.append(total))
    assert set(steps) == {len(Server.content)}  # the catalogue knows
    unknown = replace(served, size=None, sha256=None)
    with pytest.raises(WeightsError, match="does not say how large the file is"):
        download.fetch(unknown, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_never_more_bytes_than_stated(served: Published, tmp_path: Path) -> None:
    steps: list[int] = []
    Server.lengths, Server.content = False, Server.content + bytes(10**6)  # an endless server ends here too
    with pytest.raises(WeightsError, match=f"sends more than the {served.size} bytes"):
        download.fetch(served, tmp_path / "new", lambda done, total: steps.append(done))
    assert max(steps) <= (served.size or 0)
    Server.lengths = True
    with pytest.raises(WeightsError, match=rf"sends {len(Server.content)} bytes, not the {served.size} of c3d\.pickle"):
        download.fetch(served, tmp_path / "new")
    with pytest.raises(WeightsError, match="not about 1 MB"):
        download.fetch(replace(served, size=None, sha256=None, megabytes=1), tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_only_https_also_after_a_redirect(served: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.url is not None
    place = served.url.removesuffix("/file")
    assert download.fetch(replace(served, url=f"{place}/to=/file"), tmp_path / "a").read_bytes() == Server.content
    (tmp_path / "secret").write_bytes(Server.content)
    for other in (f"file://{tmp_path}/secret", "ftp://example.org/file", "gopher://example.org"):
        with pytest.raises(WeightsError, match=r"redirects to .* only downloaded by https|not allowed"):
            download.fetch(replace(served, url=f"{place}/to={other}"), tmp_path / "b")
        with pytest.raises(WeightsError, match="only downloaded by https"):
            download.fetch(replace(served, url=other), tmp_path / "b")
    monkeypatch.undo()
    with pytest.raises(WeightsError, match=r"http://127.*only downloaded by https"):
        download.fetch(served, tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []
    assert all((entry.url or "https:").startswith("https:") for entry in CATALOGUE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 5}, "not the 5 of c3d.pickle"),
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"size": None, "sha256": None, "classes": 9}, "is not c3d.pickle; it looks like"),
        ({"size": None, "sha256": None, "backbone": "i3d"}, "holds the weights of c3d; i3d cannot use them"),
    ],
)
def test_what_is_not_that_file_is_thrown_away(
    change: dict[str, object], message: str, served: Published, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=message):
        download.fetch(replace(served, **change), tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_cannot_be_fetched_is_said(served: Published, tmp_path: Path) -> None:
    assert served.url is not None
    for url, message in ((f"{served.url}s", "404"), ("http://127.0.0.1:9/file", "refused")):
        with pytest.raises(WeightsError, match=message):
            download.fetch(replace(served, url=url), tmp_path / "new")
    with pytest.raises(WeightsError, match="cannot be downloaded by a program: get it from https://"):
        weights.get("rgb_i3d_pretrained.pt", tmp_path)
    with pytest.raises(OptionError, match=r"did you mean 'rgb_imagenet\.pt'"):
        weights.get("rgb_imagenett.pt", tmp_path)

"""The networks that are exported to ONNX, one function each, and the table of
them at the end.

Their weights are random, from one seed, and chosen so that values neither
vanish nor explode: batch normalisation has the statistics that the network
itself makes of random pictures, with scales and shifts that are not trivial,
and no last layer is zero. Nothing but Python's own library is imported before
a function is called, so the table can be read without torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "dlc")
OPSET = 18


@dataclasses.dataclass(frozen=True)
class Network:
    """A row of the table."""

    make: Callable[[], Export]
    limits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Inputs that are whole numbers: from 0 to below this."""
    sizes: Sequence[Mapping[str, int]] = ({},)
    """Sizes of the dynamic dimensions, each to be tried."""

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def path(self) -> pathlib.Path:
        """Where the exported file is kept; another if the network changed."""
        sources = [self.make, Export, *SHARED, *PARTS.get(self.name, ())]
        text = "".join(map(inspect.getsource, sources)) + str(OPSET)
        text += pathlib.Path(__file__).with_name("requirements.txt").read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return CACHE / "models" / f"{self.name}-{digest}.onnx"


@dataclasses.dataclass
class Export:
    """A module with what its export is called with."""

    module: Any
    inputs: dict[str, Any]
    outputs: list[str]
    dynamic: dict[str, dict[int, str]] = dataclasses.field(default_factory=dict)

    def save(self, path: pathlib.Path) -> None:
        import torch

        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        with torch.no_grad():
            torch.onnx.export(
                self.module.eval(),
                tuple(self.inputs.values()),
                str(temporary),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(self.inputs),
                output_names=self.outputs,
                dynamic_axes=self.dynamic,
            )
        temporary.rename(path)


def _seeded() -> Any:
    import torch

    torch.manual_seed(2026)
    return torch


def _calibrate(module: Any, *inputs: Any) -> Any:
    """Makes biases, scales and shifts other than 0 and 1, and then gives batch
    normalisations the statistics of what flows through them."""
    import torch

    for parameter in module.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    module.eval()
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    if norms:
        with torch.no_grad():
            module(*inputs)
    return module.eval()


def _vision(name: str, size: int = 224, **options: Any) -> Export:
    """A network of torchvision for one picture."""
    torch = _seeded()
    import torchvision

    module = getattr(torchvision.models, name)(weights=None, **options)
    _calibrate(module, torch.randn(4, 3, size, size))
    return Export(module, {"image": torch.randn(1, 3, size, size)}, ["logits"])


SHARED = (_seeded, _calibrate, _vision)


def resnet18() -> Export:
    return _vision("resnet18")


def resnet50() -> Export:
    return _vision("resnet50")


def mobilenet_v2() -> Export:
    return _vision("mobilenet_v2")


def mobilenet_v3_small() -> Export:
    return _vision("mobilenet_v3_small")


def squeezenet1_1() -> Export:
    return _vision("squeezenet1_1")


def vgg16() -> Export:
    return _vision("vgg16")


def densenet121() -> Export:
    return _vision("densenet121")


def inception_v3() -> Export:
    return _vision("inception_v3", 299, aux_logits=False, init_weights=False)


def shufflenet_v2_x1_0() -> Export:
    return _vision("shufflenet_v2_x1_0")


def vit_b_16() -> Export:
    export = _vision("vit_b_16")
    import torch

    torch.backends.mha.set_fastpath_enabled(False)  # an operator that ONNX lacks
    torch.nn.init.normal_(export.module.heads.head.weight, 0.0, 0.04)
    return export


def _bert(dynamic: bool) -> Export:
    torch = _seeded()
    from transformers import BertConfig, BertModel

    config = BertConfig(initializer_range=0.04, attn_implementation="eager", use_cache=False)

    class Bert(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel(config)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            found = self.bert(input_ids=input_ids, attention_mask=attention_mask)
            return found.last_hidden_state, found.pooler_output

    mask = torch.ones(1, 128, dtype=torch.int64)
    mask[0, 100:] = 0
    inputs = {"input_ids": torch.randint(config.vocab_size, (1, 128)), "attention_mask": mask}
    axes = {name: {0: "batch", 1: "sequence"} for name in (*inputs, "last_hidden_state")}
    axes["pooler_output"] = {0: "batch"}
    outputs = ["last_hidden_state", "pooler_output"]
    return Export(_calibrate(Bert()), inputs, outputs, axes if dynamic else {})


def bert_base() -> Export:
    return _bert(dynamic=False)


def bert_base_dynamic() -> Export:
    return _bert(dynamic=True)


def _gpt2(dynamic: bool) -> Export:
    torch = _seeded()
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(initializer_range=0.04, attn_implementation="eager", use_cache=False)

    class Gpt2(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gpt2 = GPT2LMHeadModel(config)

        def forward(self, input_ids: Any) -> Any:
            mask = torch.ones_like(input_ids)
            return self.gpt2(input_ids=input_ids, attention_mask=mask).logits

    inputs = {"input_ids": torch.randint(config.vocab_size, (1, 128))}
    axes = {name: {0: "batch", 1: "sequence"} for name in ("input_ids", "logits")}
    return Export(_calibrate(Gpt2()), inputs, ["logits"], axes if dynamic else {})


def gpt2() -> Export:
    return _gpt2(dynamic=False)


def gpt2_dynamic() -> Export:
    return _gpt2(dynamic=True)


def lstm() -> Export:
    """Classifies 50 vectors of 64 numbers."""
    torch = _seeded()

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(64, 256, num_layers=2, batch_first=True)
            self.head = torch.nn.Linear(256, 10)
            for parameter in self.lstm.parameters():
                torch.nn.init.normal_(parameter, 0.0, 0.08)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return Export(Classifier(), {"x": torch.randn(1, 50, 64)}, ["logits"])


def unet() -> Export:
    """Four levels, 32 to 512 channels, 256 x 256 pixels."""
    torch = _seeded()
    nn = torch.nn

    def double(before: int, after: int) -> Any:
        layers = []
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False),
                       nn.BatchNorm2d(after), nn.ReLU()]  # fmt: skip
        return nn.Sequential(*layers)

    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [32, 64, 128, 256, 512]
            pairs = list(zip(widths, widths[1:]))
            self.first = double(3, widths[0])
            self.down = nn.ModuleList(double(a, b) for a, b in pairs)
            self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
            self.join = nn.ModuleList(double(2 * a, a) for a, _ in pairs)
            self.last = nn.Conv2d(widths[0], 4, 1)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            skipped = []
            for down in self.down:
                skipped.append(x)
                x = down(nn.functional.max_pool2d(x, 2))
            for up, join in reversed(list(zip(self.up, self.join))):
                x = join(torch.cat([skipped.pop(), up(x)], 1))
            return self.last(x)

    module = _calibrate(Unet(), torch.randn(2, 3, 256, 256))
    return Export(module, {"image": torch.randn(1, 3, 256, 256)}, ["mask"])


# Functions that a network is also made by, beside SHARED.
PARTS = {
    "bert_base": (_bert,),
    "bert_base_dynamic": (_bert,),
    "gpt2": (_gpt2,),
    "gpt2_dynamic": (_gpt2,),
}

BERT_LIMITS = {"input_ids": 30522, "attention_mask": 2}
GPT2_LIMITS = {"input_ids": 50257}
SEQUENCES = ({"batch": 1, "sequence": 128}, {"batch": 2, "sequence": 37})

TABLE = {
    network.name: network
    for network in (
        Network(resnet18),
        Network(resnet50),
        Network(mobilenet_v2),
        Network(mobilenet_v3_small),
        Network(squeezenet1_1),
        Network(vgg16),
        Network(densenet121),
        Network(inception_v3),
        Network(shufflenet_v2_x1_0),
        Network(vit_b_16),
        Network(bert_base, BERT_LIMITS),
        Network(bert_base_dynamic, BERT_LIMITS, SEQUENCES),
        Network(gpt2, GPT2_LIMITS),
        Network(gpt2_dynamic, GPT2_LIMITS, SEQUENCES),
        Network(lstm),
        Network(unet),
    )
}

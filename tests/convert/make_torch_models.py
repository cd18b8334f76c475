"""Make the models in `tests/convert/models` with PyTorch 2.13, which the tests do not need.

    pip install torch onnx onnxscript && python tests/convert/make_torch_models.py

Two small networks of random weights as PyTorch's two exporters write them: `torch_dynamo.onnx`, by the exporter that is
its default since 2.9, for a batch of any size, and `torch_script.onnx`, by the older one, for a batch of one. Both take
NCHW pictures of three channels in 0–255 and give logits of five classes. `torch.npz` holds inputs and outputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

SIDE, CLASSES = 32, 5
FOLDER = Path(__file__).parent / "models"


class Net(nn.Module):  # type: ignore[misc] # PyTorch is not installed
    """Two convolutions with batch normalisation, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 5) of pictures (n, 3, side, side) in 0–255."""
        return self.head(self.features(x / 64 - 2))


def remove_paths(path: Path) -> None:
    """Remove the notes of the exporter, which hold stack traces with the paths of this machine."""
    model = onnx.load(path)
    for each in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del each.metadata_props[:]
        each.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    """Write the files."""
    torch.manual_seed(0)
    net = Net().eval()
    pictures = torch.randint(0, 256, (4, 3, SIDE, SIDE)).float()
    with torch.no_grad():
        net.train()(pictures)  # gives the batch normalisation statistics of its own
        net.eval()
        logits = net(pictures)
    names = {"input_names": ["input"], "output_names": ["logits"]}
    FOLDER.mkdir(exist_ok=True)
    dynamic = {"x": {0: torch.export.Dim("batch")}}
    torch.onnx.export(
        net,
        (pictures,),
        FOLDER / "torch_dynamo.onnx",
        dynamo=True,
        external_data=False,
        dynamic_shapes=dynamic,
        **names,
    )
    torch.onnx.export(net, (pictures[:1],), FOLDER / "torch_script.onnx", dynamo=False, **names)
    for path in FOLDER.glob("*.onnx"):
        remove_paths(path)
    np.savez_compressed(FOLDER / "torch.npz", input=pictures.numpy().astype(np.uint8), logits=logits.numpy())


if __name__ == "__main__":
    main()

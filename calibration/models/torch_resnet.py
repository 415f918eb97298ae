"""ResNet-50 in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from calibration.models.weights import BOTTLENECK_EXPANSION, RESNET50_BLOCKS

if TYPE_CHECKING:
    from torch import Tensor, nn


def resnet50(sizes: Mapping[str, int]) -> nn.Module:
    """Images (batch, 3, image_size, image_size) to logits (batch, classes), computed as by He et al. (2016).

    The stride of a stage's first block is in its 3x3 convolution (v1.5), as in every implementation timed today.
    """
    from torch import nn
    from torch.nn import functional

    convolution, bottleneck = _convolution(), _bottleneck()

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = channels = sizes["width"]
            self.stem = convolution(3, width, 7, stride=2)
            self.stages = nn.ModuleList()
            for stage, blocks in enumerate(RESNET50_BLOCKS):
                made = []
                for block in range(blocks):
                    made.append(bottleneck(channels, width << stage, 2 if stage and not block else 1))
                    channels = (width << stage) * BOTTLENECK_EXPANSION
                self.stages.append(nn.Sequential(*made))
            self.classifier = nn.Linear(channels, sizes["classes"])

        def forward(self, image: Tensor) -> Tensor:
            state = functional.max_pool2d(functional.relu(self.stem(image)), 3, stride=2, padding=1)
            for stage in self.stages:
                state = stage(state)
            logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(state, 1).flatten(1))
            return logits

    return ResNet()


def _convolution() -> type[nn.Module]:
    from torch import nn

    class Convolution(nn.Module):
        def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            self.norm = nn.BatchNorm2d(outputs)

        def forward(self, state: Tensor) -> Tensor:
            normalised: Tensor = self.norm(self.convolution(state))
            return normalised

    return Convolution


def _bottleneck() -> type[nn.Module]:
    from torch import nn
    from torch.nn import functional

    convolution = _convolution()

    class Bottleneck(nn.Module):
        def __init__(self, inputs: int, inner: int, stride: int) -> None:
            super().__init__()
            outputs = inner * BOTTLENECK_EXPANSION
            self.reduce = convolution(inputs, inner, 1)
            self.spatial = convolution(inner, inner, 3, stride)
            self.expand = convolution(inner, outputs, 1)
            same = stride == 1 and inputs == outputs
            self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride)

        def forward(self, state: Tensor) -> Tensor:
            inner = functional.relu(self.reduce(state))
            inner = functional.relu(self.spatial(inner))
            return functional.relu(self.expand(inner) + self.shortcut(state))

    return Bottleneck

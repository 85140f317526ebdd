"""A small vision transformer (Dosovitskiy et al., 2021)."""

from singa import autograd, layer
from singa.models import Classifier
from singa.tensor import Tensor


class Block(layer.Layer):
    """Attention, then a network for each place; each around a residual connection."""

    def __init__(self, size, heads):
        self.heads = heads
        self.norm1, self.norm2 = layer.LayerNorm(), layer.LayerNorm()
        self.query, self.key, self.value = (layer.Linear(size) for _ in range(3))
        self.out = layer.Linear(size)
        self.up, self.down = layer.Linear(2 * size), layer.Linear(size)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(autograd.gelu(self.up(self.norm2(x))))

    def attention(self, x):
        n, places, size = x.shape
        q, k, v = (
            linear(x).reshape(n, places, self.heads, -1).transpose((0, 2, 1, 3))
            for linear in (self.query, self.key, self.value)
        )
        y = autograd.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose((0, 2, 1, 3)).reshape(n, places, size))


class Transformer(Classifier):
    """Images (N, C, H, W) are cut into patches; H and W are multiples of ``patch``.

    Args:
        patch: the height and width of a patch.
        size: the number of features of each.
        depth: the number of blocks.
    """

    def __init__(self, patch, size, depth=2, num_classes=10, heads=4):
        super().__init__()
        self.size = size
        self.patches = layer.Conv2d(size, patch, stride=patch)
        self.blocks = [Block(size, heads) for _ in range(depth)]
        self.norm = layer.LayerNorm()
        self.head = layer.Linear(num_classes)

    def initialize(self, x):
        places = self.patches(x)[0, 0].size()
        self.place = Tensor((places, self.size), stores_grad=True).gaussian(0, 0.02)

    def forward(self, x):
        n = len(x)
        x = self.patches(x).reshape(n, self.size, -1).transpose((0, 2, 1)) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))

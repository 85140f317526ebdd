"""Two networks, and three ways of saying what each of them wants."""

from singa import autograd, layer, model, opt
from singa.tensor import Tensor

NOISE = 64  # an image is made of so many numbers


class Generator(layer.Layer):
    """Noise (N, NOISE) to images (N, C, H, W) with values from 0 to 1; H and W are 4 times some."""

    def __init__(self, image_shape, width):
        channels, height, width_of_image = image_shape
        self.small = (2 * width, height // 4, width_of_image // 4)
        self.linear = layer.Linear(2 * width * (height // 4) * (width_of_image // 4))
        self.bn1 = layer.BatchNorm2d()
        self.conv1 = layer.ConvTranspose2d(width, 4, stride=2, padding=1)
        self.bn2 = layer.BatchNorm2d()
        self.conv2 = layer.ConvTranspose2d(channels, 4, stride=2, padding=1)

    def forward(self, z):
        y = self.linear(z).reshape(-1, *self.small)
        y = autograd.relu(self.bn1(y))
        y = autograd.relu(self.bn2(self.conv1(y)))
        return autograd.sigmoid(self.conv2(y))


class Critic(layer.Layer):
    """Images (N, C, H, W) to a number each, (N, 1): the larger, the more they look real."""

    def __init__(self, width):
        self.conv1 = layer.Conv2d(width, 4, stride=2, padding=1)
        self.conv2 = layer.Conv2d(2 * width, 4, stride=2, padding=1)
        self.linear = layer.Linear(1)

    def forward(self, x):
        y = autograd.leakyrelu(self.conv1(x), 0.2)
        y = autograd.leakyrelu(self.conv2(y), 0.2)
        return self.linear(autograd.flatten(y))


class GAN(model.Model):
    """The critic tells the probability that an image is real, as a logit.

    Goodfellow et al., 2014, with the loss for the generator that they recommend.

    Args:
        image_shape: (C, H, W).
        width: the number of channels where images have half their size.
        lr: of both networks' Adam.
    """

    critic_steps = 1  # for each step of the generator

    def __init__(self, image_shape, width, lr):
        super().__init__()
        self.generator = Generator(image_shape, width)
        self.critic = Critic(width)
        self.generator_optimizer = opt.Adam(lr, beta_1=0.5)
        self.critic_optimizer = opt.Adam(lr, beta_1=0.5)

    def forward(self, z):
        return self.generator(z)

    def train_one_batch(self, real, generator_too=True):
        fake = self.generator(Tensor((len(real), NOISE)).gaussian())
        critic_loss = self.critic_loss(real, fake.detach())
        update(self.critic, self.critic_optimizer, critic_loss)
        if not generator_too:
            return (critic_loss,)
        generator_loss = self.generator_loss(fake)
        update(self.generator, self.generator_optimizer, generator_loss)
        return critic_loss, generator_loss

    def critic_loss(self, real, fake):
        return (
            autograd.softplus(-self.critic(real)).mean()
            + autograd.softplus(self.critic(fake)).mean()
        )

    def generator_loss(self, fake):
        return autograd.softplus(-self.critic(fake)).mean()


class LSGAN(GAN):
    """The critic is to say 1 of what is real and 0 of what is not (Mao et al., 2017)."""

    def critic_loss(self, real, fake):
        return ((self.critic(real) - 1) ** 2).mean() + (self.critic(fake) ** 2).mean()

    def generator_loss(self, fake):
        return ((self.critic(fake) - 1) ** 2).mean()


class WGANGP(GAN):
    """The critic rises from fake to real, with slope 1 (Gulrajani et al., 2017).

    How far it rises tells how far the two distributions are apart.
    """

    critic_steps = 5

    def critic_loss(self, real, fake):
        rise = self.critic(real).mean() - self.critic(fake).mean()
        return 10 * self.gradient_penalty(real, fake) - rise

    def generator_loss(self, fake):
        return -self.critic(fake).mean()

    def gradient_penalty(self, real, fake):
        """The mean square of how far the slope is from 1, somewhere between the two."""
        t = Tensor((len(real), 1, 1, 1)).uniform()
        x = real + t * (fake - real)
        x.stores_grad = True
        # Recorded, because the loss that it goes into is differentiated in turn.
        slope = autograd.grad(self.critic(x).sum(), x, create_graph=True)
        return ((autograd.sqrt((slope * slope).sum((1, 2, 3))) - 1) ** 2).mean()


def update(network, optimizer, loss):
    """One step of this network alone, though the loss depends on the other one as well."""
    params = list(network.get_params().values())
    optimizer.update_all(zip(params, autograd.grad(loss, params), strict=True))


MODELS = {"gan": GAN, "lsgan": LSGAN, "wgan-gp": WGANGP}

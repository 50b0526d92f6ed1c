"""A peer for the speed of a step: lesson 3's networks in PyTorch, trained as in its DCGAN tutorial.

The discriminator's step on real and on generated images, then the generator's through the new
discriminator: one forward pass of the discriminator more than in lesson 4. The real images are
drawn once, for the time does not depend on them.
"""

import torch
from torch import nn
from torch.nn import functional


def make_step(shape, batch_size):
    latent_dim, feature_maps = 100, 64
    generator = build_generator(shape, latent_dim, feature_maps)
    discriminator = build_discriminator(shape, feature_maps)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    )
    real_images = torch.rand(batch_size, shape[2], *shape[:2]) * 2 - 1
    ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
    loss = functional.binary_cross_entropy_with_logits

    def step():
        generated_images = generator(torch.randn(batch_size, latent_dim))
        d_optimizer.zero_grad()
        d_loss = loss(discriminator(real_images), ones)
        d_loss = d_loss + loss(discriminator(generated_images.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        loss(discriminator(generated_images), ones).backward()
        g_optimizer.step()

    return step


def build_generator(shape, latent_dim, feature_maps):
    start, maps = shape[0], feature_maps
    while start > 7:
        start, maps = start // 2, maps * 2
    maps //= 2
    layers = [
        nn.Linear(latent_dim, maps * start**2, bias=False),
        nn.Unflatten(1, (maps, start, start)),
        nn.BatchNorm2d(maps),
        nn.ReLU(),
    ]
    while start * 2 < shape[0]:
        layers += [
            nn.ConvTranspose2d(maps, maps // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(maps // 2),
            nn.ReLU(),
        ]
        start, maps = start * 2, maps // 2
    return nn.Sequential(
        *layers, nn.ConvTranspose2d(maps, shape[2], 4, stride=2, padding=1), nn.Tanh()
    )


def build_discriminator(shape, feature_maps):
    layers, side, before, maps = [], shape[0], shape[2], feature_maps
    while side > 4:
        odd = side % 2  # 7 pixels become 4, as with Keras's padding "same"
        layers += [nn.ZeroPad2d((1, 1 + odd, 1, 1 + odd))]
        layers += [nn.Conv2d(before, maps, 4, stride=2, bias=before == shape[2])]
        layers += [nn.BatchNorm2d(maps)] if before != shape[2] else []
        layers += [nn.LeakyReLU(0.2)]
        side, before, maps = (side + odd) // 2, maps, maps * 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, 1))

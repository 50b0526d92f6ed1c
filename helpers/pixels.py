"""One image array: what it must look like, cropping and resizing."""

import numpy as np
from PIL import Image


def check_images(images) -> None:
    """Say in one sentence what is wrong with an image array on its way into the course.

    Raises:
        ValueError: not a uint8 array of shape (N, H, W, 1) or (N, H, W, 3) with N at least 1.
    """
    if not isinstance(images, np.ndarray):
        images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"Images are {images.dtype} with values from {images.min():g} to {images.max():g}; "
            "needed is uint8 in [0, 255]."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(
            f"Images have shape {images.shape}; needed is (N, height, width, 1 or 3), N at least 1."
        )


def resize(images, size: int) -> np.ndarray:
    """Resize square images to `size` pixels, bilinear with antialiasing.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        uint8 (N, size, size, C); the input itself where it has that size.

    Raises:
        ValueError: not uint8, or not of that rank.
    """
    check_images(images)
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([_resize_one(image, size) for image in images])


def conform(image, size: int, channels: int) -> np.ndarray:
    """Crop a picture to its central square, resize it and give it the wanted channels.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        channels: 1 for gray (luma of ITU-R BT.601, as Pillow's mode L), 3 for RGB.

    Returns:
        uint8 (size, size, channels).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if image.shape[-1] > channels:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if side != size:
        image = _resize_one(image, size)
    return np.repeat(image, channels, axis=-1) if image.shape[-1] < channels else image


def _resize_one(image, size):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return pixels[..., None] if pixels.ndim == 2 else pixels

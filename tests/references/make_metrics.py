"""Reference values of the metrics, by torch-fidelity and prdc; the tests compare ours with them.

In an environment of its own: pip install torch-fidelity==0.4.0 prdc==0.2
python tests/references/make_metrics.py writes metrics.json beside this file.
"""

import json
from pathlib import Path

import numpy as np

VALUES = Path(__file__).with_name("metrics.json")
NEIGHBOURS = (3, 5)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features of real and generated images by the name of the case; the same ones every time."""
    random = np.random.default_rng(2020)

    def normal(n, d, shift=0.0, scale=1.0):
        return shift + scale * random.normal(size=(n, d))

    flat = random.normal(size=(3, 16))  # 16 features that depend on 3 numbers
    # Eighths, so that sums of products are exact: in equal sets many distances are equal, and
    # rounding must not decide whether an image lies within a ball whose edge it is on.
    same = np.round(8 * normal(150, 6)) / 8
    return {
        "generic": (normal(300, 8), normal(300, 8, 0.3, 0.8)),
        "one distribution": (normal(400, 12), normal(400, 12)),
        "rank-deficient": (normal(200, 3) @ flat, normal(200, 3, 0.5) @ flat),
        "one rank-deficient": (normal(200, 16), normal(200, 3) @ flat),
        "fewer images than features": (normal(40, 64), normal(40, 64, 0.2, 1.3)),
        "more real": (normal(350, 10), normal(120, 10, 0.2)),
        "more generated": (normal(90, 10), normal(260, 10, 0.1, 0.9)),
        "far apart": (normal(100, 5), normal(100, 5, 20)),
        "float32": (
            np.float32(np.maximum(normal(250, 64, 0.5, 3), 0)),
            np.float32(np.maximum(normal(250, 64, 0.2, 4), 0)),
        ),
        "identical": (same, same.copy()),
    }


def main():
    import torch
    from prdc import compute_prdc
    from torch_fidelity import metric_fid, metric_kid

    values = {}
    for name, sets in cases().items():
        # In float32, the references' own rounding would be larger than the tests' tolerance.
        real, generated = (torch.from_numpy(np.float64(features)) for features in sets)
        fitted = [metric_fid.fid_features_to_statistics(x) for x in (generated, real)]
        distance = metric_fid.fid_statistics_to_metric(*fitted, verbose=False)
        size = min(map(len, sets))
        kernel = metric_kid.kid_features_to_metric(
            generated[:size],
            real[:size],
            kid_subsets=1,
            kid_subset_size=size,
            rng_seed=2020,
            verbose=False,
        )
        neighbours = {
            k: {name: float(x) for name, x in compute_prdc(*sets, nearest_k=k).items()}
            for k in NEIGHBOURS
        }
        values[name] = {
            "frechet": distance[metric_fid.KEY_METRIC_FID],
            "kernel": kernel[metric_kid.KEY_METRIC_KID_MEAN],  # of the first images, equally many
            "neighbours": neighbours,
        }
    VALUES.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

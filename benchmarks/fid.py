"""Compares features and scores with those of torch-fidelity and pytorch-fid.

    python benchmarks/fid.py --output=fid.json

Each package gets the same weights and the same images, extracts features and computes
scores by its own code, in the way it resizes. Without --weights the weights are random,
scaled so that activations keep their size through the network; the file of pytorch-fid
gives the true ones. KID is of one subset, all images: those packages draw theirs. The
samples are the images of one distribution with a little more noise, 32x32 in colour.

torch-fidelity computes means, KID and neighbours in float32. A second column gives what
its functions return for its own features in float64: the rest is rounding.

It ends with an error where features differ by more than 1e-4, in units of their
standard deviation over images and features.
"""

import argparse
import json
import os
import pathlib
import platform
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
PACKAGES = ["torch-fidelity", "pytorch-fid"]
NEAREST_K = 3  # torch-fidelity's
SCORES = ("fid", "kid", "precision", "recall", "inception_score")


def main():
    arguments = parsed_arguments()

    import numpy as np
    import tensorflow as tf

    from keras_gan import checks

    try:
        torch = checks.require("torch", "benchmarks")
        for name in ("torch_fidelity", "pytorch_fid.inception"):
            checks.require(name, "benchmarks")
    except ModuleNotFoundError as error:
        raise SystemExit(f"error: {error}") from error

    real, fake = (
        images(arguments.num_images, 60, 0),
        images(arguments.num_images, 70, 1),
    )
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.weights
        if path is None:
            path = pathlib.Path(folder, "random.pth")
            weights = random_weights(arguments.seed)
            torch.save({n: torch.from_numpy(w) for n, w in weights.items()}, path)
        for name in arguments.packages:
            resize, contestant = {
                "torch-fidelity": ("2015", TorchFidelity),
                "pytorch-fid": ("pytorch", PytorchFid),
            }[name]
            rows[name] = compared(Ours(path, resize), contestant(path), real, fake)
    print_table(rows)
    if arguments.output:
        report = {
            "arguments": {
                name: value
                for name, value in vars(arguments).items()
                if name != "output"
            },
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "tensorflow": tf.__version__,
                "torch": torch.__version__,
                **{name: version(name) for name in ("torch-fidelity", "pytorch-fid")},
            },
            "rows": rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")
    for name, row in rows.items():
        if not row["features"]["relative"] < 1e-4:
            raise SystemExit(
                f"error: Expected features within 1e-4 of {name}'s. Received: "
                f"{row['features']['relative']:.3g}"
            )


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num_images", type=int, default=200, help="of either set")
    parser.add_argument("--packages", nargs="+", default=PACKAGES, choices=PACKAGES)
    parser.add_argument("--weights", help="a .pth; random ones by default")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    if arguments.num_images < 10:  # splits of the Inception score
        parser.error(f"Expected --num_images >= 10. Received: {arguments.num_images}")
    return arguments


def version(name):
    import importlib.metadata

    return importlib.metadata.version(name)


# === What is compared ===


def images(count, noise, seed):
    """uint8 `(count, 32, 32, 3)`: stripes of random colours, and noise."""
    import numpy as np

    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (2, count, 1, 1, 3))
    width = rng.integers(2, 12, (count, 1, 1, 1))
    stripes = (np.arange(32)[:, None, None] // width) % 2
    pixels = np.where(stripes, *colours) + rng.normal(0, noise, (count, 32, 32, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def random_weights(seed):
    """Arrays by name: He's initialisation, and statistics that keep the scale."""
    import numpy as np

    from keras_gan.metrics.features import inception_2015

    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in inception_2015.shapes().items():
        if name.endswith("conv.weight"):
            array = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("bn.weight", "running_var")):
            array = rng.uniform(0.5, 1.5, shape)
        else:
            array = rng.normal(0, 0.02 if name == "fc.weight" else 0.2, shape)
        weights[name] = array.astype(np.float32)
    return weights


class Ours:
    def __init__(self, path, resize):
        from keras_gan import metrics

        self.extractor = metrics.Inception2015((0, 255), path, resize)

    def features(self, images):
        return self.extractor.features(images)

    def scores(self, real, fake):
        from keras_gan import evaluation, metrics

        neighbours = metrics.prdc(real, fake, nearest_k=NEAREST_K)
        logits = self.extractor.logits(fake)
        return {
            "fid": metrics.frechet_distance(
                evaluation.moments_of(real), evaluation.moments_of(fake)
            ),
            "kid": metrics.squared_mmd(real, fake),
            "precision": neighbours.precision,
            "recall": neighbours.recall,
            "inception_score": metrics.inception_score(logits, seed=None).mean,
        }


class TorchFidelity:
    """torch-fidelity's "inception-v3-compat"."""

    in_float64 = False

    def __init__(self, path):
        from torch_fidelity import utils

        self.extractor = utils.create_feature_extractor(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            cuda=False,
            verbose=False,
            feature_extractor_weights_path=str(path),
        )

    def features(self, images):
        import torch

        self.logits = None
        features = []
        for batch in batches(images):
            with torch.no_grad():
                batch, logits = self.extractor(torch.from_numpy(batch))
            features.append(batch)
            parts = [logits] if self.logits is None else [self.logits, logits]
            self.logits = torch.cat(parts)  # of the last images, the samples
        return torch.cat(features).numpy()

    def scores(self, real, fake):
        import torch
        from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

        real, fake = torch.from_numpy(real), torch.from_numpy(fake)
        statistics = [metric_fid.fid_features_to_statistics(x) for x in (fake, real)]
        fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
        kid = metric_kid.kid_features_to_metric(
            fake, real, kid_subsets=1, kid_subset_size=len(fake), verbose=False
        )
        prc = metric_prc.prc_features_to_metric(
            fake, real, prc_neighborhood=NEAREST_K, verbose=False
        )
        isc = metric_isc.isc_features_to_metric(self.logits, 10, shuffle=False)
        return {
            "fid": fid[metric_fid.KEY_METRIC_FID],
            "kid": kid[metric_kid.KEY_METRIC_KID_MEAN],
            "precision": prc[metric_prc.KEY_METRIC_PRECISION],
            "recall": prc[metric_prc.KEY_METRIC_RECALL],
            "inception_score": isc[metric_isc.KEY_METRIC_ISC_MEAN],
        }


class PytorchFid:
    """pytorch-fid's network. It fetches its weights; here they come from the file."""

    in_float64 = True

    def __init__(self, path):
        import torch
        from pytorch_fid import inception

        fetch = inception.load_state_dict_from_url
        inception.load_state_dict_from_url = lambda *_, **__: torch.load(
            path, weights_only=True
        )
        try:
            self.model = inception.InceptionV3().eval()
        finally:
            inception.load_state_dict_from_url = fetch

    def features(self, images):
        import torch

        features = []
        for batch in batches(images):
            with torch.no_grad():
                # As torchvision's ToTensor.
                (batch,) = self.model(torch.from_numpy(batch).float() / 255)
            features.append(batch[:, :, 0, 0])
        return torch.cat(features).numpy()

    def scores(self, real, fake):
        import numpy as np
        from pytorch_fid import fid_score

        statistics = []
        for features in (real, fake):
            features = features.astype(np.float64)  # as get_activations gives them
            statistics += [features.mean(axis=0), np.cov(features, rowvar=False)]
        return {"fid": float(fid_score.calculate_frechet_distance(*statistics))}


def batches(images, size=25):
    """Batches `(n, 3, H, W)` of images `(N, H, W, 3)`."""
    import numpy as np

    for start in range(0, len(images), size):
        batch = images[start : start + size].transpose(0, 3, 1, 2)
        yield np.ascontiguousarray(batch)


# === The comparison ===


def compared(ours, theirs, real, fake):
    """Returns the differences of features, and both packages' scores."""
    import numpy as np

    features = {
        who: [package.features(images) for images in (real, fake)]
        for who, package in (("ours", ours), ("theirs", theirs))
    }
    own, other = (np.concatenate(features[who]) for who in ("ours", "theirs"))
    difference = float(np.abs(own - other).max())
    row = {
        "features": {
            "largest_difference": difference,
            "standard_deviation": float(other.std()),
            "standard_deviation_over_images": float(other.std(axis=0).mean()),
            "relative": difference / float(other.std()),
        }
    }
    scores = theirs.scores(*features["theirs"])
    exact = scores
    if not theirs.in_float64:
        exact = theirs.scores(*(f.astype(np.float64) for f in features["theirs"]))
    own_scores = ours.scores(*features["ours"])
    for name, value in scores.items():
        row[name] = {
            "ours": own_scores[name],
            "theirs": value,
            "theirs_float64": exact[name],
            "relative": relative(own_scores[name], value),
            "relative_float64": relative(own_scores[name], exact[name]),
        }
    return row


def relative(value, expected):
    return abs(value - expected) / max(abs(expected), 1e-12)


def print_table(rows):
    for name, row in rows.items():
        features = row["features"]
        print(
            f"\n{name}: features differ by at most {features['largest_difference']:.2e}"
            f", {features['relative']:.1e} of their standard deviation (that of one "
            f"feature over images: {features['standard_deviation_over_images']:.3g})"
        )
        print(f"{'':16}{'keras_gan':>14}{name:>16}{'relative':>10}{'float64':>14}")
        for score in SCORES:
            if score in row:
                values = row[score]
                print(
                    f"{score:16}{values['ours']:14.7g}{values['theirs']:16.7g}"
                    f"{values['relative']:10.1e}{values['theirs_float64']:14.7g}"
                    f"{values['relative_float64']:10.1e}"
                )


if __name__ == "__main__":
    main()

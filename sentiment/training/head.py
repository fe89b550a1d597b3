"""The output layer alone, fitted to vectors that the network makes of the reviews in one reading.

Few reviews cannot teach a large network, but suffice for a linear classifier of what it has learned before.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from sentiment.evaluation.metrics import measure
from sentiment.model.batching import read_in_batches, softmax
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.calibration import fit_temperature
from shared.runs.folder import RunFolder
from shared.system.progress import progress_bar
from shared.training.loop import TrainResult

PRIOR = 1000.0  # weight of the squared distance from the beginning, against the sum of the losses
FOLDS = 5


def fit_output(
    features: np.ndarray, targets: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The output layer with the smallest loss: cross entropy, and the distance from where it began.

        sum_n H(t_n, softmax(x_n W + b)) + prior / 2 |W - W_0|^2

    The loss is convex, so there is one solution and nothing is random. Source: multinomial logistic
    regression with a Gaussian prior whose mean is a model of another domain, as in Chelba and Acero 2004,
    "Adaptation of Maximum Entropy Capitalizer: Little Data Can Help a Lot".

    Args:
        features: `(reviews, features)` normalized pooled vectors.
        targets: `(reviews, labels)` the probability of each label.
        kernel: `(features, labels)`, where the fit begins.
        bias: `(labels,)`.

    Returns:
        The kernel and the bias.

    Example:

    >>> x = np.array([[-50.0], [50.0]])
    >>> kernel, bias = fit_output(x, np.eye(2), np.zeros((1, 2)), np.zeros(2))
    >>> (x @ kernel + bias).argmax(axis=1).tolist()
    [0, 1]
    """
    shape = kernel.shape
    features = np.asarray(features, np.float64)

    def objective(flat):
        weights, biases = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        log_probs = log_softmax(features @ weights + biases, axis=1)
        errors, moved = np.exp(log_probs) - targets, weights - kernel
        loss = -(targets * log_probs).sum() + PRIOR / 2 * (moved**2).sum()
        return loss, np.concatenate([(features.T @ errors + PRIOR * moved).ravel(), errors.sum(axis=0)])

    began = np.concatenate([kernel.ravel(), bias]).astype(np.float64)
    fitted = minimize(objective, began, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return fitted[: -shape[1]].reshape(shape), fitted[-shape[1] :]


def fitted_model(
    model: SentimentClassifier, sequences: Sequence[np.ndarray], targets: np.ndarray
) -> tuple[float, np.ndarray]:
    """Fits the output layer of a model to reviews, from the weights that it has.

    First it sets the moments of the normalization to those of these reviews.

    Args:
        model: the model.
        sequences: ids `(tokens,)` of each review.
        targets: `(reviews, labels)` the probability of each label.

    Returns:
        The mean loss, and logits `(reviews, labels)` of each review from a fit to the others
        (cross-validation).
    """
    pooled = read_pooled(model, sequences)
    model.normalization.moving_mean.assign(pooled.mean(axis=0))
    model.normalization.moving_variance.assign(pooled.var(axis=0))
    features = np.asarray(model.normalization(pooled, training=False))
    began = [weight.numpy() for weight in model.output_layer.weights]
    held_out = np.zeros(targets.shape)
    folds = _folds(sequences, targets.argmax(axis=1))
    for fold in range(FOLDS):
        kernel, bias = fit_output(features[folds != fold], targets[folds != fold], *began)
        held_out[folds == fold] = features[folds == fold] @ kernel + bias
    kernel, bias = fit_output(features, targets, *began)
    model.output_layer.kernel.assign(kernel)
    model.output_layer.bias.assign(bias)
    loss = -(targets * log_softmax(features @ kernel + bias, axis=1)).sum(axis=1).mean()
    return float(loss), held_out


def read_pooled(model: SentimentClassifier, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The pooled vectors `(reviews, features)` of ids `(tokens,)`, with a progress bar."""
    width = model.normalization.moving_mean.shape[0]
    with progress_bar(title="reading", unit="review", total=len(sequences)) as bar:
        return read_in_batches(model._pooled_graph, sequences, width, bar.update)


def _folds(sequences: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The fold `(reviews,)` of each review; each label is spread evenly, and equal texts stay together."""
    numbers: dict[int, dict[bytes, int]] = {}  # of the distinct texts of each label
    folds = []
    for sequence, label in zip(sequences, labels.tolist(), strict=True):
        known = numbers.setdefault(label, {})
        folds.append((known.setdefault(np.asarray(sequence).tobytes(), len(known)) + label) % FOLDS)
    return np.array(folds)


def train_output(
    run: RunFolder,
    model: SentimentClassifier,
    sequences: Sequence[np.ndarray],
    targets: np.ndarray,
    validation: Sequence[np.ndarray],
    validation_labels: np.ndarray,
) -> TrainResult:
    """Fits the output layer of a model and saves the run, as one epoch without steps.

    The temperature is fitted to all texts that the weights tested have not seen: those of cross-validation
    and of the validation part.

    Args:
        run: the folder of the run.
        model: the model.
        sequences: ids `(tokens,)` of each training review.
        targets: `(reviews, labels)` the probability of each label.
        validation: ids of each validation review.
        validation_labels: `(reviews,)` their labels' indices.

    Returns:
        History, best epoch and its metrics.
    """
    loss, held_out = fitted_model(model, sequences, targets)
    right, logits = targets.argmax(axis=1), model.logits(validation)
    model.temperature = fit_temperature(
        np.concatenate([held_out, logits]), np.concatenate([right, validation_labels])
    )
    accuracy = float((held_out.argmax(axis=1) == right).mean())
    print(f"Cross-validated on the {len(right):,} training reviews: {accuracy:.2%} right.", flush=True)
    measures = measure(softmax(logits / model.temperature), validation_labels)
    metrics = {
        "loss": loss,
        "cross_validated_accuracy": accuracy,
        "val_accuracy": measures.accuracy,
        "val_log_loss": measures.log_loss,
        "val_calibration_error": measures.calibration_error,
        "temperature": model.temperature,
    }
    run.save_best_weights(model)
    history = [{"epoch": 1, **metrics}]
    run.write_history(history)
    return TrainResult(history, 1, metrics)

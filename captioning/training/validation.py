"""Validation after each epoch: captions of images that are not trained on, and their scores."""

import numpy as np

from captioning.config import FINAL_WORDS
from captioning.evaluation.cider import CiderD
from shared.system.escapes import visible
from shared.text.vocabulary import tokenize_words

SAMPLES_SHOWN = 4
VALIDATION_BATCH = 4  # times the batch size of training


class Validation:
    """Captions the validation images: CIDEr-D, the share of exact captions, and samples to read.

    With several sources each is scored by itself; `val_cider` and `val_exact` are then the means of theirs.

    Args:
        images: a source of `captioning.training.sources`.
        run: the run folder; gets the samples.
        config: settings of the run.
    """

    def __init__(self, images, run, config):
        self.images, self.run, self.config = images, run, config
        self.sources: dict[str, list[int]] = {}
        for row, example in enumerate(images.examples):
            self.sources.setdefault(example.source, []).append(row)
        self.references = [[tokenize_words(caption) for caption in e.captions] for e in images.examples]
        self.ciders = {
            source: CiderD({row: self.references[row] for row in rows})
            for source, rows in self.sources.items()
        }

    def __call__(self, epoch: int) -> dict[str, float]:
        captions = self._caption()
        self._show(epoch, captions)
        scores = {
            source: (
                self.ciders[source].score({row: captions[row] for row in rows})[0],
                float(np.mean([captions[row] in self.references[row] for row in rows])),
            )
            for source, rows in self.sources.items()
        }
        cider, exact = np.mean(list(scores.values()), axis=0)
        metrics = {"val_cider": float(cider), "val_exact": float(exact)}
        if self.config.self_critical:
            metrics |= self._habits(captions)
        if len(scores) > 1:
            metrics |= {f"val_cider_{source}": float(cider) for source, (cider, _) in scores.items()}
        return metrics

    def _habits(self, captions: list[list[str]]) -> dict[str, float]:
        """What goes wrong where captions are trained for a score: they shrink, break off, or are all alike.

        Returns:
            The mean length in words, the share of captions that end with a word such as "with", the share of
            distinct captions, and the share of the references' words that captions have.
        """
        words = [{word for words in references for word in words} for references in self.references]
        pairs = zip(captions, words, strict=True)
        return {
            "val_length": float(np.mean([len(caption) for caption in captions])),
            "val_broken": float(np.mean([not caption or caption[-1] in FINAL_WORDS for caption in captions])),
            "val_distinct": len(set(map(tuple, captions))) / len(captions),
            "val_recall": float(
                np.mean([len(known & set(caption)) / len(known) for caption, known in pairs])
            ),
        }

    def _caption(self) -> list[list[str]]:
        size = VALIDATION_BATCH * self.config.batch_size
        options = {"num_beams": self.config.validation_beams, "max_length": self.config.max_length}
        rows = np.arange(len(self.references))
        found = [
            captions
            for first in range(0, len(rows), size)
            for captions in self.images.caption(rows[first : first + size], **options)
        ]
        return [list(best.tokens) for best, *_ in found]

    def _show(self, epoch, captions):
        step = max(len(captions) // SAMPLES_SHOWN, 1)
        shown = list(zip(self.images.examples, captions, strict=True))[::step][:SAMPLES_SHOWN]
        text = "\n".join(
            f"  {visible(example.image_id)}: {visible(' '.join(words))}" for example, words in shown
        )
        self.run.append_samples(f"epoch {epoch}\n{text}")
        print(text, flush=True)

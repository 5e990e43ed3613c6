"""An independent distiller: one step's terms in NumPy, from plain formulas.

Networks are called as models on NumPy arrays; all else is computed here: frames
selected and normalised, mixup, views, micro-batches, losses and schedules.
"""

import numpy as np

from distill.models.frame_budget import ALL_FRAMES
from tests.numpy_losses import (
    NUMPY_LABEL_LOSSES,
    NUMPY_PREDICTION_LOSSES,
    NUMPY_REPRESENTATION_LOSSES,
    numpy_relational_distance,
    numpy_soft_cross_entropy,
)
from tests.training.tiny_networks import numpy_inputs, numpy_penalty

ROLES = ("teacher", "student")


def expected_step(distiller, prepared, progress=0.0, num_micro_batches=1):
    """Returns the terms of a step and each micro-batch's predictions.

    Args:
      distiller: Its networks and settings are read, none of its methods.
      prepared: The batch with `mixing_weights` where it is mixed.
      progress: From 0 in the first epoch to 1 in the last.
      num_micro_batches: Pieces into which the batch is divided.
    """
    videos = prepare_videos(distiller, prepared)
    size = len(videos["labels"])
    mean_terms, sum_terms, predictions = {}, {}, []
    for fronts in np.array_split(range((size + 1) // 2), num_micro_batches):
        rows = sorted({*fronts, *(size - 1 - fronts)})
        if not rows:
            continue
        piece = {name: array[rows] for name, array in videos.items()}
        terms, found = piece_terms(distiller, piece, progress)
        predictions.append(found)
        for name, term in terms.items():
            summed = is_sum(distiller) and name == "prediction_loss"
            totals, weight = (
                (sum_terms, 1) if summed else (mean_terms, len(rows) / size)
            )
            totals[name] = totals.get(name, 0) + weight * term
    return mean_terms | sum_terms, predictions


def is_sum(distiller):
    """Whether the prediction loss is a sum over the batch's videos."""
    settings = distiller.distillation
    return (
        settings.prediction_loss_reduction == "sum"
        and settings.prediction_loss != "correlation"
        and not settings.normalize_terms
    )


def prepare_videos(distiller, prepared):
    """Returns normalised videos, mixed labels and weights, float64."""
    videos = numpy_inputs(prepared, 1)
    labels = prepared["labels"].numpy().astype(float)
    weights = np.ones_like(labels)
    if "label_weights" in prepared:
        weights = weights * prepared["label_weights"].numpy()
    if distiller.class_weights is not None:
        weights = weights * distiller.class_weights
    if "mixing_weights" in prepared:
        videos["own"] = prepared["mixing_weights"].numpy().astype(float)
        labels = mix(labels, videos["own"])
    videos |= {"labels": labels, "weights": weights}
    for name in ("draws", "frame_draws"):
        if name in prepared:
            videos[name] = prepared[name].numpy()
    return videos


def thin(distiller, videos):
    """Returns the videos of each view and, last, those of the teacher."""
    copies = distiller.training.student_views + 1
    if "frame_draws" not in videos:
        return [videos] * copies
    share = distiller.training.frame_dropout
    draws = np.split(videos["frame_draws"], copies, axis=1)
    return [videos | drop_frames(videos, own, share) for own in draws]


def drop_frames(videos, draws, share):
    """Returns the videos without the frames whose draws are below a share."""
    frames = np.zeros_like(videos["frames"])
    counts = []
    for video, count in enumerate(videos["num_frames"]):
        own = draws[video, :count]
        kept = np.flatnonzero(own >= share)
        if not len(kept):
            kept = [own.argmax()]
        frames[video, : len(kept)] = videos["frames"][video, kept]
        counts.append(len(kept))
    return {"frames": frames, "num_frames": np.array(counts, np.int32)}


def mix(values, own):
    """Returns each value mixed with the one as far from the other end."""
    return np.stack(
        [
            weight * values[index] + (1 - weight) * values[-1 - index]
            for index, weight in enumerate(own)
        ]
    )


def see(videos, budget, draws):
    """Returns the frames that a budget keeps, mixed, and their numbers."""
    frames, num_frames = select(videos, budget, draws)
    if "own" not in videos:
        return frames, num_frames
    real = np.arange(frames.shape[1]) < num_frames[:, None]
    mixed = mix(frames * real[..., None], videos["own"])
    return mixed.astype(np.float32), np.maximum(num_frames, num_frames[::-1])


def select(videos, budget, draws):
    """Returns the frames that a budget keeps, and their numbers."""
    frames, num_frames = videos["frames"], videos["num_frames"]
    if budget.selection == "every_n":
        step = budget.every_n
        return frames[:, ::step], np.maximum(num_frames // step, 1)
    assert (budget.selection, budget.random_offset) == ("uniform_k", True)
    most = budget.num_frames
    kept = np.zeros((len(frames), most, frames.shape[2]), np.float32)
    for video, count in enumerate(num_frames):
        places = np.arange(count)
        if count > most:
            places = (np.arange(most) + draws[video]) * count / most
        kept[video, : min(count, most)] = frames[video, places.astype(int)]
    return kept, np.minimum(num_frames, most)


def run(network, frames, num_frames):
    """Returns a network's outputs, float64."""
    outputs = network.model({"frames": frames, "num_frames": num_frames})
    return {key: np.asarray(value, float) for key, value in outputs.items()}


def run_student(distiller, copies):
    """Returns the student's outputs of each view."""
    student, views = distiller.student, len(copies)
    drops = distiller.training.frame_dropout > 0
    if not (distiller.terms or views > 1 or drops):
        # A reader has selected the frames.
        return [run(student, *see(copies[0], ALL_FRAMES, None))]
    draws = [None] * views
    if "draws" in copies[0]:
        draws = np.split(copies[0]["draws"], views, axis=1)
    budget = student.settings.budget
    return [
        run(student, *see(videos, budget, own))
        for videos, own in zip(copies, draws, strict=True)
    ]


def piece_terms(distiller, videos, progress):
    """Returns the terms and predictions of one micro-batch."""
    settings = distiller.distillation
    terms, predictions, label_losses = {}, {}, {}
    *copies, thinned = thin(distiller, videos)
    views = run_student(distiller, copies)
    student = {k: np.concatenate([v[k] for v in views]) for k in views[0]}
    outputs = {"student": student}
    predictions["student"] = views[0]["predictions"]
    teachers = [
        run(teacher, *see(videos, teacher.budget, None))
        for teacher in distiller.frozen_teachers
    ]
    if distiller.teacher is not None:
        budget = distiller.teacher.settings.budget
        outputs["teacher"] = run(distiller.teacher, *see(thinned, budget, None))
        predictions["teacher"] = outputs["teacher"]["predictions"]
        teachers = [outputs["teacher"]]
        if settings.teacher_ema:
            average = distiller.emas["teacher"].average
            teachers = [run(average, *see(videos, budget, None))]
    for role, said in outputs.items():
        repeats = len(said["predictions"]) // len(videos["labels"])
        function = NUMPY_LABEL_LOSSES[distiller.training.label_loss]
        label_losses[role] = function(
            np.tile(videos["labels"], (repeats, 1)),
            said["predictions"],
            np.tile(videos["weights"], (repeats, 1)),
        ).mean()
        weight = getattr(settings, f"{role}_label_loss_weight")
        terms[f"{role}_label_loss"] = weight * label_losses[role]
        # The classifier of a student that mimics does not train.
        trains = 0 if settings.mimic else 1
        terms[f"{role}_penalty"] = (
            trains
            * distiller.training.regularization_penalty
            * numpy_penalty(getattr(distiller, role))
        )
    final = settings.final_label_factor
    terms["student_label_loss"] *= 1 - progress + progress * final
    final = settings.final_distillation_factor
    for name, term in distances(distiller, teachers, views).items():
        weight = getattr(settings, f"{name}_weight")
        if weight:
            value = (
                label_losses["student"] if settings.normalize_terms else term
            )
            terms[name] = weight * value * (1 - progress + progress * final)
    return terms, predictions


def distances(distiller, teachers, views):
    """Returns the student's distances from its teachers, unweighted."""
    if not teachers:
        return {}
    settings = distiller.distillation
    student = {k: np.concatenate([v[k] for v in views]) for k in views[0]}
    teachers = [
        {key: np.concatenate([value] * len(views)) for key, value in t.items()}
        for t in teachers
    ]
    weights = distiller.terms.teacher_weights
    weights = weights or [1 / len(teachers)] * len(teachers)
    representation = relation = prediction = 0
    for index, (weight, teacher) in enumerate(
        zip(weights, teachers, strict=True)
    ):
        embedding, taught = student["embedding"], teacher["embedding"]
        relation += weight * numpy_relational_distance(taught, embedding).mean()
        if embedding.shape != taught.shape:
            layer = distiller.terms.projections[index]
            kernel, bias = (np.asarray(w, float) for w in layer.weights)
            embedding = embedding @ kernel + bias
        distance = NUMPY_REPRESENTATION_LOSSES[settings.representation_loss]
        representation += weight * distance(taught, embedding).mean()
        prediction = prediction + weight * teacher["predictions"]
    name = settings.prediction_loss
    pair = prediction, student["predictions"]
    divergence = (
        numpy_soft_cross_entropy(*pair, settings.temperature)
        if settings.temperature != 1
        else NUMPY_PREDICTION_LOSSES[name](*pair)
    )
    reduced = divergence.mean()
    if settings.prediction_loss_reduction == "sum":
        per_video = 1 if name == "correlation" else len(views)
        reduced = divergence.sum() / per_video
    return {
        "representation_loss": representation,
        "relational_loss": relation,
        "prediction_loss": reduced,
    }

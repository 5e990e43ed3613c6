"""Another teacher's soft labels: a model of any kind teaches a student.

The teacher may be anything that gives probabilities of the classes; here it is
a Keras model of its own kind that sees all 40 frames. It was trained on 1,000
labelled clips. The student sees 4 frames and 40 labelled clips, and then the
teacher's probabilities for the 1,000 clips, without their labels. Needs nothing
beside the base installation. Takes about a minute on two cores; prints the
accuracy of the teacher and of the student by labels and by soft labels.
"""

import keras
import numpy as np

import distill

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
labels = random.integers(0, 5, 2000)
looks = random.normal(size=(5, 16)) / 5
frames = random.normal(size=(2000, 40, 16)) + looks[labels][:, None]
train, test = slice(0, 1000), slice(1000, 2000)

teacher = keras.Sequential(
    [
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(64, "relu"),
        keras.layers.Dense(5, "softmax"),
    ]
)
teacher.compile("adam", "sparse_categorical_crossentropy")
teacher.fit(frames[train], labels[train], epochs=20, verbose=0)


def train_student(clips, targets, epochs):
    """Returns the predictions of a student of every tenth frame."""
    student = distill.build_model(
        "FrameLevelLogisticModel",
        num_classes=5,
        feature_sizes=(16,),
        max_frames=4,
    )
    student.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    student.fit(clips[:, ::10], targets, epochs=epochs, verbose=0)
    return student.predict(frames[test, ::10], verbose=0)


few = frames[:40]
found = {
    "teacher": teacher.predict(frames[test], verbose=0),
    "student, 40 labels": train_student(few, np.eye(5)[labels[:40]], 200),
    "student, soft labels": train_student(
        frames[train], teacher.predict(frames[train], verbose=0), 20
    ),
}
for name, predictions in found.items():
    accuracy = np.mean(predictions.argmax(axis=1) == labels[test])
    print(f"{name}: {accuracy:.3f}")

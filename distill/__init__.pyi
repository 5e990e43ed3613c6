"""The names of the package `distill`: where each is defined.

Type checkers read this file, and so does `distill/__init__.py`, which imports
a name on its first use.
"""

from distill.checkpoints.checkpoint import read_settings as read_settings
from distill.checkpoints.conversion import convert as convert
from distill.datasets.pack import write_records as write_records
from distill.datasets.synthetic import (
    write_synthetic_data as write_synthetic_data,
)
from distill.deployment.export import export as export
from distill.deployment.scoring import evaluate as evaluate
from distill.deployment.step_export import StepExport as StepExport
from distill.extraction.extractor import VideoExtractor as VideoExtractor
from distill.extraction.extractor_file import read_extractor as read_extractor
from distill.models.array_model import build_model as build_model
from distill.models.frame_budget import FrameBudget as FrameBudget
from distill.networks.stored_settings import (
    finetuning_settings as finetuning_settings,
)
from distill.predictor import Predictor as Predictor
from distill.predictor import VideoPrediction as VideoPrediction
from distill.settings.extraction import ExtractorSettings as ExtractorSettings
from distill.settings.frame_cost import FrameCost as FrameCost
from distill.settings.network import network as network
from distill.settings.pack import PackSettings as PackSettings
from distill.settings.run import NetworkSettings as NetworkSettings
from distill.settings.run import RunSettings as RunSettings
from distill.settings.run_options import RunOptions as RunOptions
from distill.settings.schema import DataSchema as DataSchema
from distill.settings.schema import make_schema as make_schema
from distill.settings.synthetic import SyntheticSettings as SyntheticSettings
from distill.settings.training import SMALL_TRAINING as SMALL_TRAINING
from distill.settings.training import (
    DistillationSettings as DistillationSettings,
)
from distill.settings.training import TrainingSettings as TrainingSettings
from distill.settings.video import BadVideoError as BadVideoError
from distill.settings.video import VideoSettings as VideoSettings
from distill.study.plan import Study as Study
from distill.study.plan import Unit as Unit
from distill.study.study import run_study as run_study
from distill.training.run import TrainingResult as TrainingResult
from distill.training.run import train as train

__version__: str

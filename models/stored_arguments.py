"""Configs of layers: the constructor's arguments, as Keras stores them."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from distill.models.configs import ModelConfig

_Made = TypeVar("_Made")


class StoredArguments:
    """Mixin of layers and models whose config is their arguments.

    Each argument of the constructors is an attribute of the same name: a
    JSON value, a dataclass, a layer, or a list of these. An argument `config`
    is of the type `config_class`, which follows from its annotation.
    """

    config_class: type[ModelConfig] = ModelConfig

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Takes the `config_class` from the annotation of `config`."""
        super().__init_subclass__(**kwargs)
        annotations = inspect.get_annotations(cls)
        cls.config_class = annotations.get("config", cls.config_class)

    def make(
        self, kind: Callable[..., _Made], name: str, *args: Any, **kwargs: Any
    ) -> _Made:
        """Returns a layer `name` with this layer's dtype policy."""
        layer: Any = self
        return kind(*args, name=name, dtype=layer.dtype_policy, **kwargs)

    @classmethod
    def argument_names(cls) -> list[str]:
        """Returns the names of the constructors' arguments, Keras's apart."""
        names: dict[str, None] = {}
        for base in cls.__mro__:
            if issubclass(base, StoredArguments) and "__init__" in vars(base):
                parameters = inspect.signature(base.__init__).parameters
                names |= {
                    name: None
                    for name, parameter in parameters.items()
                    if parameter.kind is not parameter.VAR_KEYWORD
                }
        return [name for name in names if name != "self"]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        # Keras's own arguments: a base class after this one.
        config = super().get_config()  # type: ignore[misc]
        for name in self.argument_names():
            config[name] = _to_config(getattr(self, name))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Builds the layer or model from `get_config`'s result."""
        arguments = dict(config)
        for name in cls.argument_names():
            if name == "config":
                arguments[name] = cls.config_class.restore(config[name])
            elif name in config:
                arguments[name] = _from_config(config[name])
        return cls(**arguments)


def _to_config(value: Any) -> Any:
    if isinstance(value, keras.layers.Layer):
        config = keras.saving.serialize_keras_object(value)
        # Loading must leave building to the outer model, which names weights.
        config.pop("build_config", None)
        return config
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list | tuple):
        return [_to_config(item) for item in value]
    return value


def _from_config(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_config(item) for item in value]
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return value

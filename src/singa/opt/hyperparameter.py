"""Hyper-parameters: attributes of an optimizer, and of groups of parameters, that may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView
from inspect import Parameter, Signature, get_annotations
from typing import Any, ClassVar, dataclass_transform, overload

from singa.core.guard import Watched, assign_attribute, own
from singa.core.tensor import Tensor
from singa.device import CTensor, as_dtype
from singa.errors import ArgumentError, DTypeError
from singa.opt.schedule import Constant, DecayScheduler, Number, as_number, as_schedule


class Hyperparameter:
    """A field of an optimizer that is a number of at least 0, or a schedule.

    If it was a number, assigning another number changes a value, and nothing is recompiled. Only a
    change from or to zero recompiles the step, because a term appears or disappears. A schedule
    that was passed in is never changed: another optimizer may use it too.

    Args:
        default: its value if none is given.
        below: numbers must be less than this.

    Example:
        >>> class Mine(opt.Optimizer):
        ...     momentum: opt.Hyperparameter = opt.Hyperparameter(0.9, below=1)
        >>> mine = Mine(0.5)
        >>> mine.momentum
        Constant(init_value=0.9)
        >>> mine.momentum = 1.5
        Traceback (most recent call last):
            ...
        singa.errors.ArgumentError: Mine: momentum must be below 1, got 1.5
    """

    def __init__(self, default: float, below: float = float("inf")) -> None:
        self.default = default
        self.below = below

    def __set_name__(self, kind: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> Hyperparameter: ...
    @overload
    def __get__(self, owner: Declared, kind: type) -> DecayScheduler: ...
    def __get__(self, owner: Declared | None, kind: type) -> Hyperparameter | DecayScheduler:
        if owner is None:
            return self
        try:
            schedule: DecayScheduler = own(owner)[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(owner).__name__}: its rule takes {self.name} from the values that it is "
                f"given, hyper[{self.name!r}], because a schedule may change it in every step"
            ) from None
        return schedule

    def __set__(self, owner: Declared, value: Number) -> None:
        old = getattr(owner, self.name, None)
        if value is old:
            return
        if isinstance(old, Constant) and old._is_own and not isinstance(value, DecayScheduler):
            old.set(self._number(owner, value))
        else:
            assign_attribute(owner, self.name, self.schedule(owner, value))

    def schedule(self, owner: Declared, value: Number) -> DecayScheduler:
        """``value`` as a schedule, checked."""
        if not isinstance(value, DecayScheduler):
            value = self._number(owner, value)
        return as_schedule(type(owner).__name__, self.name, value, owner.dtype)

    def _number(self, owner: Declared, value: Any) -> float:
        name = type(owner).__name__
        number = as_number(name, self.name, value)
        if not number < self.below:
            raise ArgumentError(f"{name}: {self.name} must be below {self.below}, got {value!r}")
        return number


@dataclass_transform(eq_default=False)
class Declared(Watched):
    """Base of classes that declare their fields as a dataclass does; they are its arguments.

    A field is a hyper-parameter, or a plain value with a type and a default. The fields of
    subclasses come after those of their bases. ``dtype``, the type of the hyper-parameters' values,
    is the last.

    Raises:
        TypeError: an argument is not a field.
    """

    __signature__: ClassVar[Signature | None]
    _fields: ClassVar[Signature]
    _options: ClassVar[tuple[str, ...]] = ()  # fields that are given by name only
    _hyperparameters: ClassVar[tuple[str, ...]]
    _plain: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        defaults = {
            name: value
            for base in reversed(cls.__mro__)
            for annotated in [get_annotations(base)]
            for name, value in vars(base).items()
            if isinstance(value, Hyperparameter) or (name in annotated and not name.startswith("_"))
        }
        kinds = {name: isinstance(value, Hyperparameter) for name, value in defaults.items()}
        cls._hyperparameters = tuple(name for name, is_hyper in kinds.items() if is_hyper)
        cls._plain = tuple(name for name, is_hyper in kinds.items() if not is_hyper)
        order = [name for name in defaults if name not in (*cls._options, "dtype")]
        cls._fields = Signature(
            [
                Parameter(
                    name,
                    Parameter.KEYWORD_ONLY
                    if name in cls._options
                    else Parameter.POSITIONAL_OR_KEYWORD,
                    default=getattr(defaults[name], "default", defaults[name]),
                )
                for name in (*order, "dtype", *cls._options)
            ]
        )
        # For help(). It must not be inherited by a class with a constructor of its own.
        cls.__signature__ = None if "__init__" in vars(cls) else cls._fields

    def __init__(self, *args: Any, **options: Any) -> None:
        if args and _are_parameters(args[0]):
            name = type(self).__name__
            raise ArgumentError(
                f"{name}: an optimizer is not given the parameters, it finds them by walking back "
                f"from the loss; write opt.{name}(lr=0.1), and model.set_optimizer(...)"
            )
        try:
            given = self._fields.bind(*args, **options)
        except TypeError as error:
            known = ", ".join(self._fields.parameters)
            raise TypeError(f"{type(self).__name__}: {error}; its arguments are {known}") from None
        given.apply_defaults()
        fields = given.arguments
        self.dtype = as_dtype(fields.pop("dtype"))
        for name, value in fields.items():
            setattr(self, name, value)
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._hyperparameters:
            object.__setattr__(self, name, value)  # Hyperparameter.__set__ notifies the guards
        else:
            super().__setattr__(name, value)

    def check(self) -> None:
        """Raise if the fields are not compatible; called before anything is compiled for them."""

    def plain_fields(self) -> dict[str, Any]:
        """The fields that are no hyper-parameters, with their values."""
        return {name: getattr(self, name) for name in self._plain}


def _are_parameters(value: Any) -> bool:
    """Whether this is a collection of parameters, where a learning rate is expected.

    It may be empty: a model has no parameters yet, before its first input.
    """
    if isinstance(value, (list, tuple)):
        return not value or any(isinstance(each, (Tensor, Mapping)) for each in value)
    return isinstance(value, (Iterator, Mapping, MappingView))


class Values(dict[str, CTensor]):
    """The hyper-parameters' values in a step. Those that are constantly 0 are not in it."""

    def __missing__(self, name: str) -> float:
        return 0.0


def is_on(schedule: DecayScheduler) -> bool:
    """Whether a hyper-parameter is not constantly 0."""
    return not isinstance(schedule, Constant) or schedule.is_on


class Group:
    """Some of the parameters, and their own hyper-parameters.

    Args:
        owner: the optimizer's name, for messages.
        params: the parameters, or a predicate on their names.
        schedules: the hyper-parameters.

    Raises:
        DTypeError: neither parameters nor a predicate.
    """

    def __init__(
        self,
        owner: str,
        params: Iterable[Tensor] | Callable[[str], bool],
        schedules: dict[str, DecayScheduler],
    ) -> None:
        self._owner = owner
        self.schedules = schedules
        self._is_named = params if callable(params) else None
        members = () if callable(params) else tuple(params)
        if isinstance(params, Tensor) or not all(isinstance(param, Tensor) for param in members):
            raise DTypeError(
                f"{owner}: a group is a list of parameters, or a predicate on names; got {params!r}"
            )
        self._params = frozenset(members)

    def __contains__(self, param: Tensor) -> bool:
        if self._is_named is None:
            return param in self._params
        if param.name is None:
            raise ArgumentError(
                f"{self._owner}: a group is chosen by names, and a parameter of shape "
                f"{param.shape} has none; Model.compile names parameters, or list them"
            )
        return bool(self._is_named(param.name))

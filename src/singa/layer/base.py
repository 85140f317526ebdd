"""Layer: operations with parameters and state."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from singa.core import hints, notebook
from singa.core.guard import Watched
from singa.core.tensor import Tensor
from singa.core.watching import local, outside_capture
from singa.errors import ArgumentError, DTypeError
from singa.layer.older_forms import OlderChecks


class Branch(NamedTuple):
    """A layer's depth in the tree of layers, its path from the outermost layer, and its name.

    The name is the path from the layer that contains it: ``conv1``, ``blocks.0``.
    """

    depth: int
    path: str
    name: str
    layer: Layer


def _initializing(initialize: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``initialize``: the layer is initialized after it, so parameters are made only once."""

    @wraps(initialize)
    def method(self: Layer, *xs: Any, **options: Any) -> None:
        # Parameters are made once, with real values, even if a step is being captured.
        with outside_capture():
            before = {t for _, t, _ in self._tensors()}
            initialize(self, *xs, **options)
            self._initialized = True
            made = {n: t for n, t, is_param in self._tensors() if is_param and t not in before}
            if self._frozen:
                for t in made.values():
                    t.requires_grad = False
            if self._when_made is not None and made:
                self._when_made(made)

    return method


def _initialized_first(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``forward``: it makes the parameters first, so it can be called without ``layer(x)``."""

    @wraps(forward)
    def method(self: Layer, *xs: Any, **options: Any) -> Any:
        if self._initialized:
            return forward(self, *xs, **options)
        self._initialize(xs, options)
        outputs = forward(self, *xs, **options)
        self._is_made()
        return outputs

    return method


def _called_with_prefix(
    prefix: str, function: Callable[[dict[str, Tensor]], Any], made: dict[str, Tensor]
) -> None:
    function({prefix + name: tensor for name, tensor in made.items()})


LayerMeta = type
"""The class of the class Layer, by SINGA's name for it."""


class Layer(OlderChecks, Watched):
    """A function of Tensors with its own parameters and state.

    A subclass defines ``forward``, and also ``initialize`` if it makes parameters that depend on
    its first input. ``initialize`` is called with that input before the first forward, unless it
    was called explicitly before.

    The parameters, states and inner layers are found among the attributes: Tensors with
    ``stores_grad`` are parameters, Tensors registered by :meth:`register_states` are states, and
    inner Layers are searched too, also in lists, tuples and dicts. Names are paths, such as
    ``conv1.W`` or ``blocks.0.bn.scale``. An object with several paths is counted once.

    Shapes:
        xs, y: the arguments and the results of ``forward``.

    Example:
        >>> class Scale(layer.Layer):
        ...     def initialize(self, x):
        ...         self.factor = Tensor(x.shape[-1:], stores_grad=True).set_value(2.0)
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> scale = Scale()
        >>> scale(Tensor(data=[[1.0, 3.0]])).to_numpy()
        array([[2., 6.]], dtype=float32)
        >>> {name: p.shape for name, p in scale.get_params().items()}
        {'factor': (2,)}
    """

    _initialized = False
    _frozen = False
    _when_made: Callable[[dict[str, Tensor]], Any] | None = None
    _at_last: Callable[[dict[str, Tensor]], Any] | None = None
    _registered = 0
    _state_names: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hints.name_init(cls)
        for name, wrapper in (("initialize", _initializing), ("forward", _initialized_first)):
            if inspect.isfunction(method := vars(cls).get(name)):
                setattr(cls, name, wrapper(method))

    @_initializing
    def initialize(self, *xs: Any) -> None:
        """Make the parameters; their shapes, types and device depend on the inputs."""

    def forward(self, *xs: Any, **options: Any) -> Any:
        """Compute the outputs, which are Tensors, from inputs, which are Tensors."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *xs: Any, **options: Any) -> Any:
        try:
            is_first = not self._initialized
            if is_first:
                self._initialize(xs, options)
            if local.calls is not None:
                return local.calls.call(self, xs, options)
            outputs = self.forward(*xs, **options)
            if is_first:
                self._is_made()
            return outputs
        except (AttributeError, TypeError) as error:
            if not xs or not _are_numbers(xs[0]):
                raise
            raise DTypeError(
                f"{type(self).__name__}: its inputs are Tensors, got {type(xs[0]).__name__}; "
                "Tensor(data=x) makes one"
            ) from error

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hints.no_attribute(self, name, hints.LAYER)

    def _initialize(self, xs: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Call ``initialize`` with the inputs, and with the keyword inputs whose names it has."""
        if options:
            known = inspect.signature(self.initialize).parameters
            options = {name: value for name, value in options.items() if name in known}
        self.initialize(*xs, **options)

    def register_states(self, **tensors: Tensor) -> None:
        """Set these attributes, and register them as states of the layer (not as parameters).

        Example:
            >>> net = layer.Linear(2)
            >>> net.register_states(largest=Tensor((3,)))
            >>> _ = net(Tensor((1, 3)))
            >>> list(net.get_params()), list(net.get_states())
            (['b', 'W'], ['b', 'largest', 'W'])
        """
        for name, tensor in tensors.items():
            setattr(self, name, tensor)
        self._state_names = tuple(dict.fromkeys((*self._state_names, *tensors)))

    def register_layers(self, *layers: Layer | Mapping[str, Layer]) -> None:
        """Register layers that cannot be found among the attributes, such as those in a closure.

        They become attributes: the keys of a dict are the names of its layers, others are named
        ``Linear_0``, ``ReLU_1``. The numbers continue with each call.

        Raises:
            ArgumentError: a name is already used.
            DTypeError: an argument is not a Layer.

        Example:
            >>> net = layer.Layer()
            >>> net.register_layers(layer.Linear(2), {"head": layer.Linear(1)})
            >>> [name for name, _ in net.sublayers()]
            ['Linear_0', 'head']
        """
        named: dict[str, Layer] = {}
        for each in layers:
            if isinstance(each, Layer):
                each = {f"{type(each).__name__}_{self._registered}": each}
                self._registered += 1
            named |= each
        for name, layer in named.items():
            if not isinstance(layer, Layer):
                raise DTypeError(
                    f"{type(self).__name__}: only Layers can be registered, got {layer!r}"
                )
            if hasattr(self, name) and getattr(self, name) is not layer:
                raise ArgumentError(f"{type(self).__name__}: {name!r} is already something else")
        for name, layer in named.items():
            setattr(self, name, layer)

    def freeze(self) -> None:
        """Make all parameters constant from now on, also those that are made later.

        They get no gradients; values that only these gradients need are not computed. Optimizers
        do not update them.

        Example:
            >>> linear = layer.Linear(2)
            >>> linear.freeze()
            >>> _ = linear(Tensor((1, 3)))
            >>> linear.W.requires_grad
            False
        """
        self._freeze(True)

    def unfreeze(self) -> None:
        """Train all parameters again, including those that an inner layer has frozen.

        Example:
            >>> linear = layer.Linear(2)
            >>> linear.freeze()
            >>> linear.unfreeze()
            >>> _ = linear(Tensor((1, 3)))
            >>> linear.W.requires_grad
            True
        """
        self._freeze(False)

    def _freeze(self, frozen: bool) -> None:
        for layer in (self, *(each for _, each in self.sublayers())):
            layer._frozen = frozen
        for param in self.get_params().values():
            param.requires_grad = not frozen

    def _is_made(self) -> None:
        """The first call is over: the layers inside have made their parameters, too."""
        at_last = self._at_last
        if at_last is not None:  # without it no attribute is assigned, which would be an effect
            self._at_last = None
            at_last(self.get_params())

    def when_made(
        self,
        function: Callable[[dict[str, Tensor]], Any],
        at_last: Callable[[dict[str, Tensor]], Any] | None = None,
    ) -> None:
        """Call a function with the parameters that each layer inside this one makes from now on.

        It gets them by their names here, as soon as they have their initial values.

        Args:
            function: takes the parameters of one layer.
            at_last: takes all of them, after this layer's first call.

        Example:
            >>> net = layer.Sequential(layer.Linear(2), layer.Linear(1))
            >>> net.when_made(lambda made: print(*made))
            >>> _ = net(Tensor((1, 3)))
            0.b 0.W
            1.b 1.W
        """
        self._at_last = at_last
        for branch in self.tree():
            prefix = f"{branch.path}." if branch.path else ""
            branch.layer._when_made = partial(_called_with_prefix, prefix, function)

    # -- parameters, states and inner layers --------------------------------------------------

    def get_params(self) -> dict[str, Tensor]:
        """The parameters by name, including frozen ones.

        Raises:
            ArgumentError: two of them have the same name, because of dict keys such as 0 and "0".

        Example:
            >>> net = layer.Sequential(layer.Conv2d(6, 3, bias=False), layer.BatchNorm2d())
            >>> _ = net(Tensor((2, 1, 8, 8)))
            >>> {name: p.shape for name, p in net.get_params().items()}
            {'0.W': (6, 1, 3, 3), '1.scale': (6,), '1.bias': (6,)}
        """
        return self._by_name((name, t) for name, t, is_param in self._tensors() if is_param)

    def get_states(self) -> dict[str, Tensor]:
        """The parameters and all other states (such as running means) by name.

        A layer inside may have a ``get_states`` of its own, which adds further Tensors.

        Raises:
            ArgumentError: two of them have the same name, or one has none.

        Example:
            >>> norm = layer.BatchNorm2d()
            >>> _ = norm(Tensor((2, 3)))
            >>> list(norm.get_states())
            ['scale', 'bias', 'running_mean', 'running_var']
        """
        named = [(name, t) for name, t, _ in self._tensors()]
        known = {t for _, t in named}
        for path, layer in self.sublayers():
            if type(layer).get_states is not Layer.get_states:
                added = {name: t for name, t in named_states(layer).items() if t not in known}
                # Model.compile gives a Tensor the whole path as its name.
                named += [(f"{path}.{n.removeprefix(f'{path}.')}", t) for n, t in added.items()]
                known |= set(added.values())
        return self._by_name(named)

    def _by_name(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, tensor in named:
            if found.setdefault(name, tensor) is not tensor:
                raise ArgumentError(
                    f"{type(self).__name__}: two of its Tensors are named {name!r}, because of "
                    "keys of dicts that are equal as text or contain a dot; use other keys"
                )
        return found

    def set_params(self, params: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> None:
        """Copy values into parameters. All are checked before the first one is changed.

        Raises:
            ArgumentError: no parameter has this name.
            ShapeError, DTypeError: a value does not fit.

        Example:
            >>> linear = layer.Linear(2)
            >>> _ = linear(Tensor((1, 3)))
            >>> linear.set_params({"b": np.array([1.0, 2.0])})
            >>> linear(Tensor((1, 3))).to_numpy()
            array([[1., 2.]], dtype=float32)
        """
        self._assign("parameter", self.get_params(), params)

    def set_states(self, states: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> None:
        """Copy values into parameters and other states. See :meth:`set_params`.

        Example:
            >>> norm = layer.BatchNorm2d()
            >>> _ = norm(Tensor((2, 2)))
            >>> norm.set_states({"running_mean": np.array([1.0, 2.0])})
            >>> norm.running_mean.to_numpy()
            array([1., 2.], dtype=float32)
        """
        self._assign("state", self.get_states(), states)

    def _assign(self, what: str, own: dict[str, Tensor], given: Mapping[str, Any]) -> None:
        unknown = [name for name in given if name not in own]
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__} has no {what} named {', '.join(map(repr, unknown))}; "
                f"its names are {', '.join(own) or 'none: it has not seen an input yet'}"
            )
        arrays = {name: np.asarray(value) for name, value in given.items()}
        for name, array in arrays.items():
            own[name].check_fits(array, f"{type(self).__name__}: {what} {name!r}")
        for name, array in arrays.items():
            own[name].copy_from_numpy(array)

    def sublayers(self) -> Iterator[tuple[str, Layer]]:
        """Every layer inside this one, with its name; outer layers come before inner ones.

        Example:
            >>> net = layer.Sequential(layer.Linear(8), layer.Sequential(layer.ReLU()))
            >>> [(name, type(each).__name__) for name, each in net.sublayers()]
            [('0', 'Linear'), ('1', 'Sequential'), ('1.0', 'ReLU')]
        """
        for name, value in self._walk():
            if isinstance(value, Layer):
                yield name, value

    def tree(self) -> Iterator[Branch]:
        """This layer and all layers inside it; outer layers come before inner ones.

        Example:
            >>> net = layer.Sequential(layer.Linear(8), layer.Sequential(layer.ReLU()))
            >>> [(branch.depth, branch.path, branch.name) for branch in net.tree()]
            [(0, '', ''), (1, '0', '0'), (1, '1', '1'), (2, '1.0', '0')]
        """
        above = [""]  # for each depth, the prefix of the paths inside the present layer
        yield Branch(0, "", "", self)
        for path, layer in self.sublayers():
            while not path.startswith(above[-1]):
                above.pop()
            yield Branch(len(above), path, path.removeprefix(above[-1]), layer)
            above.append(f"{path}.")

    def settings(self) -> str:
        """The arguments that it was made with, as text: ``nb_kernels=6, bias=False``.

        Example:
            >>> layer.Conv2d(6, 3, bias=False).settings()
            'nb_kernels=6, kernel_size=(3, 3), bias=False'
        """
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self)).parameters.items()
        }
        return ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if _is_plain(value)
            and not name.startswith("_")
            and not hasattr(type(self), name)  # without attributes that hold a Model's state
            and value != defaults.get(name)
        )

    def __repr__(self) -> str:
        return "\n".join("  " * depth + line for depth, line in self._lines())

    def _repr_html_(self) -> str:
        return notebook.tree(list(self._lines()))

    def _lines(self) -> Iterator[tuple[int, str]]:
        for branch in self.tree():
            title = f"{type(branch.layer).__name__}({branch.layer.settings()})"
            yield branch.depth, f"{branch.name}: {title}" if branch.name else title

    def _tensors(self) -> Iterator[tuple[str, Tensor, bool]]:
        for name, value in self._walk():
            if isinstance(value, Tensor):
                yield name, value, value.is_parameter

    def _walk(self, all_tensors: bool = False) -> Iterator[tuple[str, Any]]:
        """All layers, parameters and states below this layer, each once, in attribute order.

        With ``all_tensors`` the Tensors that are neither, too.
        """
        seen: set[Any] = {self}
        stack: list[tuple[str, Any, Layer]] = list(reversed(self._attributes("")))
        while stack:
            name, value, owner = stack.pop()
            if isinstance(value, (list, tuple)):
                stack += [(f"{name}.{i}", value[i], owner) for i in reversed(range(len(value)))]
            elif isinstance(value, dict):
                stack += [(f"{name}.{key}", value[key], owner) for key in reversed(value)]
            elif isinstance(value, Layer) and value not in seen:
                seen.add(value)
                yield name, value
                stack += reversed(value._attributes(f"{name}."))
            elif isinstance(value, Tensor) and value not in seen:
                states = [vars(owner).get(state) for state in owner._state_names]
                if all_tensors or value.is_parameter or any(value is state for state in states):
                    seen.add(value)
                    yield name, value

    def _attributes(self, prefix: str) -> list[tuple[str, Any, Layer]]:
        return [(prefix + name, value, self) for name, value in vars(self).items()]


def named_states(layer: Layer) -> dict[str, Tensor]:
    """What ``get_states`` returns, also if a subclass has its own: each Tensor has a name.

    Raises:
        ArgumentError: one has none.
    """
    states = layer.get_states()
    if not all(isinstance(name, str) for name in states):
        raise ArgumentError(
            f"{type(layer).__name__}.get_states: the name of a state is text, got "
            f"{', '.join(repr(name) for name in states if not isinstance(name, str))}; a Tensor "
            "that is an attribute has a name after Model.compile, another one by Tensor(name=...)"
        )
    return states


def _are_numbers(value: Any) -> bool:
    """Whether this is an array, or a list of numbers, where a Tensor is expected."""
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, (np.ndarray, jax.Array, int, float))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, np.dtype))

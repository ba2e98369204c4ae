"""Reads a pickled dict of float32 arrays, and builds nothing else.

An ordinary unpickler calls whatever a stranger's file names, and one that allows NumPy's functions
alone can still be made to ask for all memory, or to crash. So `pickletools` takes the file apart,
and the few steps that a dict of arrays needs are done here, with stand-ins for NumPy's functions.
"""

import pickletools
from types import SimpleNamespace

import numpy as np

# All that a pickle of a dict of NumPy arrays names, as NumPy 1 and NumPy 2 write it.
_NAMES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "empty array",
    ("numpy._core.multiarray", "_reconstruct"): "empty array",
    ("numpy.core.numeric", "_frombuffer"): "array",
    ("numpy._core.numeric", "_frombuffer"): "array",
    ("_codecs", "encode"): "bytes",
}

# Steps that push what follows them in the file, and those that push always the same.
_PUSH_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_REMEMBER = {"PUT", "BINPUT", "LONG_BINPUT"}
_RECALL = {"GET", "BINGET", "LONG_BINGET"}
_NOTHING = {"PROTO", "FRAME", "STOP"}

_MARK = object()


class _Function:
    """Stands for a function of NumPy's or Python's."""

    def __init__(self, purpose):
        self.purpose = purpose


class _NumberType:
    """Stands for `numpy.dtype("f4")`; its byte order comes later."""

    byte_order = None


class _Array:
    """Stands for an array whose numbers come later."""

    numbers = None


def load_vectors(file, size):
    """Reads a pickle, of any protocol, of a dict of NumPy arrays.

    Args:
        file: binary file, open for reading.
        size: int, its bytes.

    Returns:
        dict of str -> numpy.ndarray, float32, of any shape.

    Raises:
        Exception: of any kind, if it is no pickle or holds anything else. Its message is one line.
    """

    def read(count):
        # The file is at hand, so a number in it need not lead to reserving more memory than it has.
        if count > size:
            raise ValueError("it asks for more bytes than it has")
        return file.read(count)

    stack, memo = [], {}
    # Without `tell`, which would be a system call for each of a hundred thousand steps.
    source = SimpleNamespace(read=read, readline=file.readline)
    for step, argument, _ in pickletools.genops(source):
        _do(step.name, argument, stack, memo)
    content = stack.pop()
    if type(content) is not dict or not content:
        raise ValueError("it holds no dict of vectors")
    return {identifier: array.numbers for identifier, array in content.items()}


def _do(step, argument, stack, memo):
    """Carries out one step on the stack and on the memo of what the file names again."""
    if step in _PUSH_ARGUMENT:
        stack.append(argument)
    elif step == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif step in _REMEMBER:
        memo[argument] = stack[-1]
    elif step in _RECALL:
        stack.append(memo[argument])
    elif step in _PUSH_CONSTANT:
        stack.append(_PUSH_CONSTANT[step])
    elif step in _TUPLES:
        items = stack[-_TUPLES[step] :]
        del stack[-_TUPLES[step] :]
        stack.append(tuple(items))
    elif step in _STEPS:
        _STEPS[step](stack, argument)
    elif step not in _NOTHING:
        raise ValueError(f"it holds no dict of vectors: {step} in it is for something else")


def _pop_to_mark(stack):
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    items.reverse()
    return items


def _find(stack, module, name):
    if (module, name) not in _NAMES:
        raise ValueError(f"it holds {f'{module}.{name}'!a}, which is no vector")
    stack.append(_Function(_NAMES[module, name]))


def _find_on_stack(stack, _):
    name, module = stack.pop(), stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("it holds a name that is no text")
    _find(stack, module, name)


def _store(stack, items):
    content = stack[-1]
    if type(content) is not dict:
        raise ValueError("it holds no dict of vectors")
    for identifier, array in zip(items[::2], items[1::2], strict=True):
        if type(identifier) is not str:
            raise ValueError("it holds an identifier that is no text")
        if type(array) is not _Array or array.numbers is None:
            raise ValueError(f"{identifier!a} is no float32 array")
        content[identifier] = array


def _make_dict(stack, _):
    items = _pop_to_mark(stack)
    stack.append({})
    _store(stack, items)


def _store_one(stack, _):
    array, identifier = stack.pop(), stack.pop()
    _store(stack, [identifier, array])


def _store_many(stack, _):
    items = _pop_to_mark(stack)
    _store(stack, items)


def _call(stack, _):
    """Does what the file's function would do of its arguments, as far as an array needs it."""
    arguments, function = stack.pop(), stack.pop()
    if type(function) is not _Function or type(arguments) is not tuple:
        raise ValueError("it calls what is no function")
    result = None
    if function.purpose == "bytes":
        text, encoding = arguments
        if type(text) is str and type(encoding) is str and encoding == "latin1":
            result = text.encode("latin-1")
    elif function.purpose == "empty array":
        result = _Array()
    elif function.purpose == "array":
        result = _Array()
        numbers, number_type, shape = arguments[:3]
        result.numbers = _numbers(numbers, number_type, shape)
    elif function.purpose == "dtype":
        if type(arguments[0]) is str and arguments[0] == "f4":
            result = _NumberType()
        else:
            raise ValueError("it holds an array that is no float32 array")
    if result is None:
        raise ValueError("it calls a function with arguments that no array needs")
    stack.append(result)


def _complete(stack, _):
    """Gives a type its byte order, or an array its numbers."""
    state, target = stack.pop(), stack[-1]
    if type(state) is not tuple:
        raise ValueError("it completes an array with what no array needs")
    if type(target) is _NumberType:
        target.byte_order = state[1]
    elif type(target) is _Array:
        _, shape, number_type, _, numbers = state
        target.numbers = _numbers(numbers, number_type, shape)
    else:
        raise ValueError("it completes what is no array")


def _numbers(content, number_type, shape):
    """Makes the array; a copy, since what is read from a file could not be written to."""
    if type(number_type) is not _NumberType or number_type.byte_order != "<":
        raise ValueError("it holds an array that is no float32 array")
    if type(content) not in (bytes, bytearray) or type(shape) is not tuple:
        raise ValueError("it holds an array without numbers")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("it holds an array without a shape")
    return np.frombuffer(content, dtype="<f4").reshape(shape).astype(np.float32)


_STEPS = {
    "MARK": lambda stack, _: stack.append(_MARK),
    "TUPLE": lambda stack, _: stack.append(tuple(_pop_to_mark(stack))),
    "EMPTY_DICT": lambda stack, _: stack.append({}),
    "DICT": _make_dict,
    "SETITEM": _store_one,
    "SETITEMS": _store_many,
    "GLOBAL": lambda stack, argument: _find(stack, *argument.split(" ", 1)),
    "STACK_GLOBAL": _find_on_stack,
    "REDUCE": _call,
    "BUILD": _complete,
}

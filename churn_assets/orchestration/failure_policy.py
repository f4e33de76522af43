"""Retry policy: user errors fail a run at once, transient errors are retried.

Jobs repeat a failed step, as a database or a disk may be away for a moment. A table that breaks its contract or a setting that makes
no sense will not mend itself, so its run fails at once. The run is also tagged, so that the sensors do not repeat it.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import dagster as dg

from churn_assets.orchestration.orphans import end_with_parent
from churn_assets.orchestration.run_launcher import WatchedRunLauncher
from churn_store.disk import disk_error
from churn_store.errors import ChurnError, InputError

WRONG_INPUT_TAG = "churn/wrong_input"
"""The tag of a run that failed for a reason that its user has to put right."""

RETRY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""The retry policy of jobs for all other failures."""


class InRun(Protocol):
    """The attributes that all contexts of a step have."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance that remembers the run."""

    @property
    def run_id(self) -> str:
        """The run's id."""


F = TypeVar("F", bound=Callable[..., Any])


def wrong_input_is_final(asset: F) -> F:
    """Decorate an asset's function: an ``InputError`` or ``dg.Failure`` tags the run and becomes a failure without retries.

    A run that the daemon would repeat when its code server dies ends with that server.
    """
    if inspect.isgeneratorfunction(asset):

        @functools.wraps(asset)
        def generates(*args: Any, **kwargs: Any) -> Any:
            _end_with_code_server(_context(args, kwargs))
            try:
                yield from asset(*args, **kwargs)
            except (InputError, dg.Failure) as error:
                raise final(error, _context(args, kwargs)) from error
            except Exception as error:
                if (told := _in_words(error, asset.__name__)) is None:
                    raise
                raise told from error

        return generates  # type: ignore[return-value]

    @functools.wraps(asset)
    def returns(*args: Any, **kwargs: Any) -> Any:
        _end_with_code_server(_context(args, kwargs))
        try:
            return asset(*args, **kwargs)
        except (InputError, dg.Failure) as error:
            raise final(error, _context(args, kwargs)) from error
        except Exception as error:
            if (told := _in_words(error, asset.__name__)) is None:
                raise
            raise told from error

    return returns  # type: ignore[return-value]


def _end_with_code_server(context: InRun) -> None:
    if isinstance(context.instance.run_launcher, WatchedRunLauncher):
        end_with_parent()


def _context(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dg.AssetExecutionContext:
    context: dg.AssetExecutionContext = kwargs["context"] if "context" in kwargs else args[0]
    return context


def _in_words(error: Exception, asset: str) -> Exception | None:
    """What a full or read-only disk says, as a sentence; `None` for any other error. Both are worth another try."""
    if isinstance(error, ChurnError):
        return None
    return disk_error(error, f"{asset} was cut off, as a file can't be read or written")


def final(error: InputError | dg.Failure, context: InRun) -> dg.Failure:
    """A failure that is not retried; its run is tagged.

    Args:
        error: error that the user has to put right.
        context: context of the step that failed.
    """
    if context.instance.has_run(context.run_id):  # an asset that is called as a function has none
        context.instance.add_run_tags(context.run_id, {WRONG_INPUT_TAG: "true"})
    return error if isinstance(error, dg.Failure) else dg.Failure(description=str(error), allow_retries=False)

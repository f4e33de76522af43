"""Stores the values that pass from asset to asset, as small JSON documents in the artifact storage of the Dagster instance.

It replaces Dagster's default store, whose pickles execute code and depend on module paths. A pickle that an older version left under
the same asset's name is another file and is never read.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec

from churn_assets.orchestration.failure_policy import final
from churn_store.errors import InputError


class JsonIOManager(dg.IOManager):
    """Stores ``msgspec`` structs of assets without partitions, one file an asset; the newest replaces the former.

    Args:
        folder: folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store the value of an asset; a reader sees the former file or the new one.

        Raises:
            TypeError: if the value is not a struct, or the asset has partitions.
            msgspec.ValidationError: if the value does not survive JSON, such as NaN.
        """
        name = context.asset_key.to_user_string() if context.has_asset_key else context.name
        if not isinstance(obj, msgspec.Struct) or not context.has_asset_key or context.has_asset_partitions:
            raise TypeError(
                f"{name} passes on a {type(obj).__name__}; expected a msgspec struct of an asset without partitions: files and rows "
                "belong into the lake or into the release files"
            )
        content = msgspec.json.encode(obj)
        msgspec.json.decode(content, type=type(obj))
        file = self._file(context.asset_key)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(file)

    def load_input(self, context: dg.InputContext) -> Any:
        """Load the value of an asset, as the type that the reading asset declares.

        Raises:
            dg.Failure: if it was never stored, or was stored in another form; it is final and names the asset to materialize.
        """
        name = context.asset_key.to_user_string()
        try:
            return self._read(context.asset_key, name, context.dagster_type.typing_type)
        except InputError as error:
            raise final(error, context.step_context) from error

    def _read(self, key: dg.AssetKey, name: str, kind: Any) -> Any:
        file = self._file(key)
        try:
            return msgspec.json.decode(file.read_bytes(), type=kind)
        except FileNotFoundError as error:
            raise InputError(
                f"the value of {name} is not there ({file}): it was not made yet, or by an older version; materialize {name} again"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"the value of {name} can't be read ({file}: {error}); materialize {name} again") from error

    def _file(self, key: dg.AssetKey) -> Path:
        *folders, name = key.path
        return self.folder.joinpath(*folders, f"{name}.json")


@dg.io_manager(description="Values between assets as JSON, in the artifact storage of the instance.")
def json_values(context: dg.InitResourceContext) -> JsonIOManager:
    """The IO manager of an instance."""
    if context.instance is None:
        raise InputError("values between assets need a Dagster instance to be stored in")
    return JsonIOManager(Path(context.instance.storage_directory()))

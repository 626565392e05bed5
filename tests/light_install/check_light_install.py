"""Install the package without extras in a virtual environment of its own, and check its size and that it works.

python tests/light_install/check_light_install.py ENVIRONMENT

The environment is kept, so that the next check only installs what has changed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_MB: Final = 500


def main(environment: Path) -> None:
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    size_mb = sum(path.lstat().st_size for path in environment.rglob("*") if path.is_file()) / 1e6
    if size_mb > LIMIT_MB:
        sys.exit(f"a light install must be below {LIMIT_MB} MB, got {size_mb:.0f} MB: {environment}")
    program = Path(__file__).with_name("use_without_torch.py")
    with tempfile.TemporaryDirectory() as directory:
        # -I: the package that is installed, not the one in the checkout or on PYTHONPATH
        subprocess.run([python, "-I", "-W", "error", program, directory], check=True, cwd=directory)
    print(f"light install: {size_mb:.0f} MB")


main(Path(sys.argv[1]).absolute())  # the check changes folder

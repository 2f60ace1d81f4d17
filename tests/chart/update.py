"""Write anew what is rendered from the chart: golden files, plain manifests, the README's tables. `make chart`."""

from __future__ import annotations

from tests.chart import reference, rendering


def main() -> None:
    rendering.GOLDEN.mkdir(exist_ok=True)
    for old in rendering.GOLDEN.glob("*.yaml"):
        old.unlink()
    for name in rendering.VALUES:
        (rendering.GOLDEN / f"{name}.yaml").write_text(rendering.text(name))
    (rendering.PLAIN / "csi-solidfire.yaml").write_text(rendering.plain())
    reference.README.write_text(reference.readme())


if __name__ == "__main__":
    main()

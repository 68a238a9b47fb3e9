"""The images of the overlay `test`, in one archive, built on a Docker Engine."""

from pathlib import Path

from deploy.cluster.node import PAUSE
from deploy.containers import images
from deploy.containers.docker import Docker
from deploy.containers.engine import Say

APPLICATION = "mamochi:cluster"
# The names in the overlay. Official ones keep their names where a registry answers.
SERVERS = ("apache/kafka:4.3.1", "postgres:18", "valkey/valkey:9")


def build(docker: Docker, archive: Path, say: Say) -> dict[str, str]:
    """Write the archive; return the image that takes the place of each in the overlay.

    Raises StackError.
    """
    base = images.base_image(docker, say)
    say("building the image")
    images.build_application(docker, APPLICATION, base)
    replaced = images.replace_missing(docker, SERVERS, base, say)
    chosen = {image: replaced.get(image) or image for image in SERVERS}
    chosen[images.MAIL] = images.build_mail(docker, base)
    chosen["mamochi"] = APPLICATION
    docker.build(images.STANDINS / "pause", PAUSE, arguments={"BASE": base})
    say("packing the images for the nodes")
    docker.run("save", "--output", str(archive), *chosen.values(), PAUSE, timeout=600)
    return chosen

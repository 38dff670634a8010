# shellcheck shell=bash
# An Apache Kafka broker of our own, in KRaft mode, below $work; needs the jars in $kafka_jars.
# start_broker, stop_broker SIGNAL; $brokers is where it listens.

broker='' work=${work:?} kafka_jars=${kafka_jars:?}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

format_broker() {
    local port controller

    port=$(free_port) controller=$(free_port)
    brokers=127.0.0.1:$port
    mkdir -p "$work/kafka"
    cat > "$work/kafka/server.properties" << END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://$brokers,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://$brokers
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$work/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
END
    java -cp "$kafka_jars/*" kafka.tools.StorageTool format -t Zkx1cVJtS2ZSdGlLUXpYdw \
        -c "$work/kafka/server.properties" > "$work/kafka/format.log" 2>&1
}

# Until it answers, a client just asks again.
start_broker() {
    [ -e "$work/kafka/server.properties" ] || format_broker || return
    java -Xmx512m -Xms256m -cp "$kafka_jars/*" kafka.Kafka "$work/kafka/server.properties" \
        >> "$work/kafka/broker.log" 2>&1 &
    broker=$!
}

stop_broker() { # SIGNAL
    [ -n "$broker" ] || return 0
    kill "-$1" "$broker" 2> /dev/null
    wait "$broker" 2> /dev/null
    broker=''
}

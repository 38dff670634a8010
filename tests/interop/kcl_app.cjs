// A record processor with aws-kcl, in the shape of its sample, which its package leaves out: says each record on
// stderr as amazon_kclpy's sample does, and checkpoints the last of each batch.
'use strict';
const kcl = require('aws-kcl');

// The kit reports an error as a text; whoever has lost the shard stops.
const checkpoint = (checkpointer, number, done) => checkpointer.checkpoint(number, (error) => {
  if (error && error !== 'ShutdownException') process.stderr.write(`checkpoint: ${error}\n`);
  done();
});

kcl({
  initialize(input, done) {
    done();
  },
  processRecords(input, done) {
    for (const record of input.records) {
      const size = Buffer.from(record.data, 'base64').length;
      process.stderr.write(`Record (Partition Key: ${record.partitionKey}, ` +
        `Sequence Number: ${record.sequenceNumber}, Data Size: ${size}\n`);
    }
    const last = input.records[input.records.length - 1];
    if (last) checkpoint(input.checkpointer, last.sequenceNumber, done);
    else done();
  },
  leaseLost(input, done) {
    process.stderr.write('Lease has been lost\n');
    done();
  },
  shardEnded(input, done) {
    process.stderr.write('Shard has ended checkpointing\n');
    checkpoint(input.checkpointer, undefined, done);
  },
  shutdownRequested(input, done) {
    process.stderr.write('Shutdown has been requested, checkpointing.\n');
    checkpoint(input.checkpointer, undefined, done);
  },
}).run();

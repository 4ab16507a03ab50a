//go:build !old

package main

import (
	"os"

	"github.com/IBM/sarama"
)

func transactions() {
	if len(os.Args) < 3 {
		panic(skip("not served yet"))
	}
	c := modern()
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Transaction.ID = "t-sarama"
	p := take(sarama.NewSyncProducer(where, c))
	for _, keep := range []bool{false, true, true} {
		must(p.BeginTxn())
		for i := 0; i < 10; i++ {
			take2(p.SendMessage(&sarama.ProducerMessage{Topic: "txn", Value: sarama.StringEncoder("v")}))
		}
		if keep {
			at := map[string][]*sarama.PartitionOffsetMetadata{"codecs": {{Partition: 0, Offset: 7, LeaderEpoch: -1}}}
			must(p.AddOffsetsToTxn(at, "t-group"))
			must(p.CommitTxn())
		} else {
			must(p.AbortTxn())
		}
	}
	must(p.Close())
	c = modern()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	same("first one committed", readFrom(c, "txn", 0, 20)[0].Offset, 11)
	same("first one of all", readFrom(modern(), "txn", 0, 30)[0].Offset, 0)
	a := take(sarama.NewClusterAdmin(where, modern()))
	defer a.Close()
	held := take(a.ListConsumerGroupOffsets("t-group", map[string][]int32{"codecs": {0}}))
	same("committed in the transaction", held.Blocks["codecs"][0].Offset, 7)
}

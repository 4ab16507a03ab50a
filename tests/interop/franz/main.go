// main.go BOOTSTRAP [transactions] - franz-go with the defaults of its library.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	where = os.Args[1]
	sent  []string
	fails int
)

func step(name string, do func(context.Context)) {
	defer func() {
		switch why := recover().(type) {
		case nil:
			fmt.Println("ok", name)
		case skip:
			fmt.Printf("skip %s: %s\n", name, string(why))
		default:
			fails++
			fmt.Printf("not ok %s\n    %s\n", name, strings.ReplaceAll(fmt.Sprint(why), "\n", "\n    "))
		}
	}()
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	do(ctx)
}

type skip string

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func take[T any](v T, err error) T {
	must(err)
	return v
}

func same(what string, got, want any) {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		panic(fmt.Sprintf("%s: got %.300s, want %.300s", what, g, w))
	}
}

func client(more ...kgo.Opt) *kgo.Client {
	return take(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(where)}, more...)...))
}

func admin() (*kadm.Client, func()) {
	c := client()
	return kadm.NewClient(c), c.Close
}

func poll(ctx context.Context, c *kgo.Client, count int) (got []*kgo.Record) {
	for len(got) < count {
		f := c.PollRecords(ctx, count-len(got))
		for _, e := range f.Errors() {
			panic(e.Err)
		}
		got = append(got, f.Records()...)
	}
	return got
}

func metadata(ctx context.Context) {
	a, end := admin()
	defer end()
	m := take(a.Metadata(ctx))
	same("brokers", len(m.Brokers), 1)
	same("topics", len(m.Topics), 0)
}

func create(ctx context.Context) {
	a, end := admin()
	defer end()
	for topic, partitions := range map[string]int32{"codecs": 1, "shared": 4, "txn": 1} {
		take(a.CreateTopic(ctx, partitions, -1, nil, topic))
	}
	same("topics", take(a.ListTopics(ctx)).Names(), []string{"codecs", "shared", "txn"})
}

func codecs(ctx context.Context) {
	a, end := admin()
	defer end()
	kinds := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for n, kind := range kinds {
		for m, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
			c := client(kgo.ProducerBatchCompression(kind), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(),
				kgo.RecordPartitioner(kgo.ManualPartitioner()))
			for i := 0; i < 20; i++ {
				v := strings.Repeat(fmt.Sprintf("%d %d %d ", n, m, i), 20)
				c.Produce(ctx, &kgo.Record{Topic: "codecs", Key: []byte("k"), Value: []byte(v),
					Timestamp: time.UnixMilli(1000 + int64(len(sent))), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}},
					func(_ *kgo.Record, err error) {
						if err != nil {
							fmt.Fprintln(os.Stderr, err)
						}
					})
				sent = append(sent, v)
			}
			must(c.Flush(ctx))
			c.Close()
			for end := int64(0); end < int64(len(sent)); { // acks 0 says nothing: wait for it
				o, _ := take(a.ListEndOffsets(ctx, "codecs")).Lookup("codecs", 0)
				end = o.Offset
			}
		}
	}
}

func read(ctx context.Context) {
	for _, start := range []int{0, 1, 150, len(sent) - 1} {
		c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"codecs": {0: kgo.NewOffset().At(int64(start))}}))
		for i, r := range poll(ctx, c, len(sent)-start) {
			same("value", string(r.Value), sent[start+i])
			same("time", r.Timestamp.UnixMilli(), 1000+start+i)
		}
		c.Close()
	}
}

func offsets(ctx context.Context) {
	a, end := admin()
	defer end()
	at := func(l kadm.ListedOffsets, err error) int64 {
		must(err)
		o, _ := l.Lookup("codecs", 0)
		must(o.Err)
		return o.Offset
	}
	same("beginning", at(a.ListStartOffsets(ctx, "codecs")), 0)
	same("end", at(a.ListEndOffsets(ctx, "codecs")), len(sent))
	same("committed end", at(a.ListCommittedOffsets(ctx, "codecs")), len(sent))
	same("by time", at(a.ListOffsetsAfterMilli(ctx, 1042, "codecs")), 42)
}

func member(group string, more ...kgo.Opt) *kgo.Client {
	return client(append(more, kgo.ConsumerGroup(group), kgo.ConsumeTopics("shared"), kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(6*time.Second))...)
}

func group(ctx context.Context) {
	p := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := 0; i < 400; i++ {
		p.Produce(ctx, &kgo.Record{Topic: "shared", Partition: int32(i % 4), Value: []byte(fmt.Sprint(i))}, nil)
	}
	must(p.Flush(ctx))
	p.Close()
	seen := map[string]bool{}
	for part := 0; part < 2; part++ {
		c := member("resume")
		got := poll(ctx, c, 200)
		for _, r := range got {
			seen[string(r.Value)] = true
		}
		must(c.CommitRecords(ctx, got...))
		c.Close()
	}
	same("each record once", len(seen), 400)
}

func rebalance(name string, more ...kgo.Opt) func(context.Context) {
	return func(ctx context.Context) {
		has := [2]chan int{make(chan int, 1000), make(chan int, 1000)}
		var members [2]*kgo.Client
		for i := range members {
			count := 0
			tell := func(by int) func(context.Context, *kgo.Client, map[string][]int32) {
				return func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
					count += by * len(m["shared"])
					has[i] <- count
				}
			}
			members[i] = member(name, append(more, kgo.OnPartitionsAssigned(tell(1)), kgo.OnPartitionsRevoked(tell(-1)),
				kgo.OnPartitionsLost(tell(-1)))...)
			go func() {
				for ctx.Err() == nil && !members[i].PollFetches(ctx).IsClientClosed() {
				}
			}()
		}
		last := [2]int{}
		until := func(what string, want func() bool) {
			for !want() {
				select {
				case last[0] = <-has[0]:
				case last[1] = <-has[1]:
				case <-ctx.Done():
					panic(fmt.Sprint(what, ": ", last))
				}
			}
		}
		until("two of four partitions each", func() bool { return last == [2]int{2, 2} })
		members[0].Close()
		until("all for the one who stays", func() bool { return last[1] == 4 })
		members[1].Close()
	}
}

func administer(ctx context.Context) {
	a, end := admin()
	defer end()
	hour, two := "3600000", "7200000"
	take(a.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &hour}, "short"))
	setting := func() string {
		for _, c := range take(a.DescribeTopicConfigs(ctx, "short"))[0].Configs {
			if c.Key == "retention.ms" {
				return c.MaybeValue()
			}
		}
		return ""
	}
	same("setting", setting(), hour)
	for _, r := range take(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &two}}, "short")) {
		must(r.Err)
	}
	same("setting", setting(), two)
	must(take(a.CreatePartitions(ctx, 2, "short")).Error())
	same("partitions", len(take(a.ListTopics(ctx, "short"))["short"].Partitions), 3)
	p := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := 0; i < 10; i++ {
		must(p.ProduceSync(ctx, &kgo.Record{Topic: "short", Value: []byte("v")}).FirstErr())
	}
	p.Close()
	to := kadm.Offsets{}
	to.AddOffset("short", 0, 4, -1)
	must(take(a.DeleteRecords(ctx, to)).Error())
	same("groups", len(take(a.ListGroups(ctx)).Groups()) > 0, true)
	same("state", take(a.DescribeGroups(ctx, "resume"))["resume"].State, "Empty")
	sum := int64(0)
	for _, o := range take(a.FetchOffsets(ctx, "resume"))["shared"] {
		sum += o.At
	}
	same("committed", sum, 400)
	same("lag", take(a.Lag(ctx, "resume"))["resume"].Lag.Total(), 0)
	take(a.DeleteGroup(ctx, "resume"))
	take(a.DeleteTopic(ctx, "short"))
	same("topic", take(a.ListTopics(ctx)).Has("short"), false)
}

func idempotent(ctx context.Context) {
	c := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1024), kgo.ProducerLinger(0))
	defer c.Close()
	var records []*kgo.Record
	for i := 0; i < 500; i++ {
		records = append(records, &kgo.Record{Topic: "codecs", Value: []byte(fmt.Sprint("once ", i))})
	}
	for i, r := range c.ProduceSync(ctx, records...) {
		must(r.Err)
		same("offset", r.Record.Offset, len(sent)+i)
	}
}

func transactions(ctx context.Context) {
	if len(os.Args) < 3 {
		panic(skip("not served yet"))
	}
	c := client(kgo.TransactionalID("t-franz"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryCommit} {
		must(c.BeginTransaction())
		for i := 0; i < 10; i++ {
			must(c.ProduceSync(ctx, &kgo.Record{Topic: "txn", Value: []byte(fmt.Sprint(bool(end)))}).FirstErr())
		}
		must(c.EndTransaction(ctx, end))
	}
	c.Close()
	start := kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"txn": {0: kgo.NewOffset().At(0)}})
	c = client(start, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for _, r := range poll(ctx, c, 20) {
		same("committed", string(r.Value), "true")
	}
	c.Close()
	c = client(start)
	same("all", len(poll(ctx, c, 30)), 30)
	c.Close()
	s := take(kgo.NewGroupTransactSession(kgo.SeedBrokers(where), kgo.TransactionalID("t-session"), kgo.ConsumerGroup("t-group"),
		kgo.ConsumeTopics("shared"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets())) // consume, transform, produce
	defer s.Close()
	for seen := 0; seen < 400; {
		f := s.PollFetches(ctx)
		must(f.Err())
		must(s.Begin())
		f.EachRecord(func(r *kgo.Record) { s.Produce(ctx, &kgo.Record{Topic: "txn", Value: r.Value}, nil); seen++ })
		if !take(s.End(ctx, kgo.TryCommit)) {
			panic("the session's transaction was not committed")
		}
	}
}

func main() {
	step("metadata", metadata)
	step("create topics", create)
	step("codecs x acks", codecs)
	step("read from offsets", read)
	step("list offsets", offsets)
	step("group resumes", group)
	step("two members share", rebalance("two", kgo.Balancers(kgo.RangeBalancer())))
	step("two members share, cooperative", rebalance("two-cooperative"))
	step("admin", administer)
	step("idempotent", idempotent)
	step("transactions", transactions)
	if fails > 0 {
		os.Exit(1)
	}
}

// main.go BOOTSTRAP [transactions] - sarama: an old one with the protocol versions it has by default, and the newest.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var (
	where = []string{os.Args[1]}
	sent  []string
	fails int
)

type skip string

func step(name string, do func()) {
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
	do()
}

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

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return c
}

// Newer message formats and calls than the library's default asks for.
func modern() *sarama.Config {
	c := config()
	c.Version = sarama.V2_8_0_0
	return c
}

func metadata() {
	c := take(sarama.NewClient(where, config()))
	defer c.Close()
	same("brokers", len(c.Brokers()), 1)
	same("topics", len(take(c.Topics())), 0)
}

func create() {
	a := take(sarama.NewClusterAdmin(where, modern()))
	defer a.Close()
	for topic, partitions := range map[string]int32{"codecs": 1, "shared": 4, "txn": 1} {
		must(a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	}
	same("topics", len(take(a.ListTopics())), 3)
}

func codecs() {
	client := take(sarama.NewClient(where, modern()))
	defer client.Close()
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		for _, acks := range []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal, sarama.WaitForAll} {
			c := modern()
			c.Producer.Compression, c.Producer.RequiredAcks = codec, acks
			p := take(sarama.NewSyncProducer(where, c))
			var batch []*sarama.ProducerMessage
			for i := 0; i < 20; i++ {
				v := strings.Repeat(fmt.Sprintf("%v %v %d ", codec, acks, i), 20)
				batch = append(batch, &sarama.ProducerMessage{Topic: "codecs", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(v),
					Timestamp: time.UnixMilli(1000 + int64(len(sent))), Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("1")}}})
				sent = append(sent, v)
			}
			must(p.SendMessages(batch))
			must(p.Close())
			for end := int64(0); end < int64(len(sent)); { // acks 0 says nothing: wait for it
				end = take(client.GetOffset("codecs", 0, sarama.OffsetNewest))
			}
		}
	}
}

func readFrom(c *sarama.Config, topic string, start, count int) (got []*sarama.ConsumerMessage) {
	consumer := take(sarama.NewConsumer(where, c))
	defer consumer.Close()
	p := take(consumer.ConsumePartition(topic, 0, int64(start)))
	defer p.Close()
	late := time.After(20 * time.Second)
	for len(got) < count {
		select {
		case m := <-p.Messages():
			got = append(got, m)
		case <-late:
			panic(fmt.Sprintf("%d of %d records came", len(got), count))
		}
	}
	return got
}

func read() {
	for _, c := range []*sarama.Config{config(), modern()} {
		end := len(sent)
		if !c.Version.IsAtLeast(sarama.V2_1_0_0) {
			end -= 60 // a client of before 2.1 is not given zstd, which is last
		}
		for _, start := range []int{0, 1, 150, end - 1} {
			for i, m := range readFrom(c, "codecs", start, end-start) {
				same("value", string(m.Value), sent[start+i])
			}
		}
	}
}

func offsets() {
	for _, c := range []*sarama.Config{config(), modern()} {
		client := take(sarama.NewClient(where, c))
		same("beginning", take(client.GetOffset("codecs", 0, sarama.OffsetOldest)), 0)
		same("end", take(client.GetOffset("codecs", 0, sarama.OffsetNewest)), len(sent))
		same("by time", take(client.GetOffset("codecs", 0, 1042)), 42)
		client.Close()
	}
}

// One member of a group: takes up to `limit` records and commits them, or only tells how many partitions it has.
type member struct {
	mu    sync.Mutex
	limit int
	seen  []string
	has   int
	stop  context.CancelFunc
	over  chan struct{}
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	m.has = len(s.Claims()["shared"])
	m.mu.Unlock()
	return nil
}
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, more := <-c.Messages():
			if !more {
				return nil
			}
			m.mu.Lock()
			if len(m.seen) < m.limit {
				m.seen = append(m.seen, string(r.Value))
				s.MarkMessage(r, "")
			}
			full := len(m.seen) == m.limit
			m.mu.Unlock()
			if full && m.limit > 0 {
				s.Commit()
				m.stop()
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *member) count() int { m.mu.Lock(); defer m.mu.Unlock(); return m.has }

func join(name string, limit int) *member {
	g := take(sarama.NewConsumerGroup(where, name, config()))
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	m := &member{limit: limit, stop: stop, over: make(chan struct{})}
	go func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{"shared"}, m); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		g.Close()
		close(m.over)
	}()
	return m
}

func group() {
	p := take(sarama.NewSyncProducer(where, config()))
	for i := 0; i < 400; i++ {
		take2(p.SendMessage(&sarama.ProducerMessage{Topic: "shared", Partition: int32(i % 4), Value: sarama.StringEncoder(fmt.Sprint(i))}))
	}
	must(p.Close())
	seen := map[string]bool{}
	for part := 0; part < 2; part++ {
		m := join("resume", 200)
		<-m.over
		same("records", len(m.seen), 200)
		for _, v := range m.seen {
			seen[v] = true
		}
	}
	same("each record once", len(seen), 400)
}

func take2(_ int32, _ int64, err error) { must(err) }

func until(what string, is func() bool) {
	for end := time.Now().Add(40 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			panic(what + ": not within 40 s")
		}
	}
}

func rebalance() {
	a, b := join("two", 0), join("two", 0)
	until("two of four partitions each", func() bool { return a.count() == 2 && b.count() == 2 })
	a.stop()
	<-a.over
	until("all for the one who stays", func() bool { return b.count() == 4 })
	b.stop()
	<-b.over
}

func administer() {
	a := take(sarama.NewClusterAdmin(where, modern()))
	defer a.Close()
	hour, two := "3600000", "7200000"
	must(a.CreateTopic("short", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}, false))
	setting := func() string {
		for _, e := range take(a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "short"})) {
			if e.Name == "retention.ms" {
				return e.Value
			}
		}
		return ""
	}
	same("setting", setting(), hour)
	must(a.AlterConfig(sarama.TopicResource, "short", map[string]*string{"retention.ms": &two}, false))
	same("setting", setting(), two)
	must(a.CreatePartitions("short", 3, nil, false))
	same("partitions", len(take(a.DescribeTopics([]string{"short"}))[0].Partitions), 3)
	c := config()
	c.Producer.RequiredAcks = sarama.WaitForAll // what is to be deleted is to be durable first
	p := take(sarama.NewSyncProducer(where, c))
	for i := 0; i < 10; i++ {
		take2(p.SendMessage(&sarama.ProducerMessage{Topic: "short", Value: sarama.StringEncoder("v")}))
	}
	p.Close()
	must(a.DeleteRecords("short", map[int32]int64{0: 4}))
	_, has := take(a.ListConsumerGroups())["resume"]
	same("group is listed", has, true)
	same("state", take(a.DescribeConsumerGroups([]string{"resume"}))[0].State, "Empty")
	sum := int64(0)
	for _, b := range take(a.ListConsumerGroupOffsets("resume", map[string][]int32{"shared": {0, 1, 2, 3}})).Blocks["shared"] {
		sum += b.Offset
	}
	same("committed", sum, 400)
	must(a.DeleteConsumerGroup("resume"))
	must(a.DeleteTopic("short"))
}

func idempotent() {
	c := modern()
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Flush.MaxMessages = 7
	p := take(sarama.NewSyncProducer(where, c))
	defer p.Close()
	var batch []*sarama.ProducerMessage
	for i := 0; i < 500; i++ {
		batch = append(batch, &sarama.ProducerMessage{Topic: "codecs", Value: sarama.StringEncoder(fmt.Sprint("once ", i))})
	}
	must(p.SendMessages(batch))
	for i, m := range batch {
		same("offset", m.Offset, len(sent)+i)
	}
}

func main() {
	step("metadata", metadata)
	step("create topics", create)
	step("codecs x acks", codecs)
	step("read from offsets", read)
	step("list offsets", offsets)
	step("group resumes", group)
	step("two members share", rebalance)
	step("admin", administer)
	step("idempotent", idempotent)
	step("transactions", transactions)
	if fails > 0 {
		os.Exit(1)
	}
}

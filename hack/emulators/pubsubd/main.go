// Command pubsubd stands in for Cloud Pub/Sub on this machine: the v1 gRPC surface
// that the official clients speak, with ordering keys, ack deadlines, retry policies
// and dead-letter topics, over a SQLite database that outlives a SIGKILL. Cloud
// Monitoring's num_undelivered_messages is served beside it, and is exact.
//
// It is stricter than the service where that finds faults (a message of a key is
// never in the hands of two clients), and fairer: keys have their turns. Filters,
// exactly-once delivery, push, schemas, snapshots, seeking, and retention are not there, and are
// refused where they are asked for. It knows nobody: IAM is not there either.
//
//	pubsubd [--listen 127.0.0.1:0] [--data DIR]
//
// The address it listens on is the first line it prints. Without a directory it
// forgets all when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	data := flag.String("data", "", "the directory of the database; none is memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *data); err != nil {
		fmt.Fprintln(os.Stderr, "pubsubd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, data string) error {
	b, err := open(data, time.Now)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	server := grpc.NewServer(grpc.MaxRecvMsgSize(12<<20), grpc.MaxSendMsgSize(32<<20))
	register(server, b)
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	if err := server.Serve(l); err != nil {
		return err
	}
	return b.close()
}

func register(server *grpc.Server, b *broker) {
	pubsubpb.RegisterPublisherServer(server, &publisher{b: b})
	pubsubpb.RegisterSubscriberServer(server, &subscriber{b: b})
	monitoringpb.RegisterMetricServiceServer(server, &monitor{b: b})
}

// Command grpc-go-load puts a bounded load on a gRPC server with grpc-go, as OpenTelemetry collectors do, or is that server.
//
// Every call has a deadline, so that grpc-go sends a grpc-timeout that differs from call to call and that its HPACK
// encoder puts into the dynamic table. The result is one JSON object on standard output.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawCodec passes messages as the octets that they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	octets, ok := message.(*[]byte)
	if !ok {
		return nil, errors.New("not octets")
	}
	return mem.BufferSlice{mem.SliceBuffer(*octets)}, nil
}

func (rawCodec) Unmarshal(received mem.BufferSlice, message any) error {
	octets, ok := message.(*[]byte)
	if !ok {
		return errors.New("not octets")
	}
	*octets = received.Materialize()
	return nil
}

func main() {
	if len(os.Args) < 2 || (os.Args[1] != "serve" && os.Args[1] != "load") {
		fmt.Fprintln(os.Stderr, "usage: grpc-go-load serve|load [flags]")
		os.Exit(2)
	}
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2:])
	} else {
		err = load(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers every method with an empty message until it is told to end.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	empty := []byte{}
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			return stream.SendMsg(&empty)
		}),
	)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		server.Stop()
	}()
	fmt.Println(listener.Addr())
	return server.Serve(listener)
}

// figures is what a load run found.
type figures struct {
	Calls         int64            `json:"calls"`
	Failed        int64            `json:"failed"`
	Statuses      map[string]int64 `json:"statuses"`
	FirstFailure  string           `json:"firstFailure,omitempty"`
	ElapsedSecs   float64          `json:"elapsedSeconds"`
	MeanMicros    float64          `json:"meanMicros"`
	P50Micros     float64          `json:"p50Micros"`
	P99Micros     float64          `json:"p99Micros"`
	MaximumMicros float64          `json:"maximumMicros"`
}

// worker is what one goroutine found; only that goroutine writes to it.
type worker struct {
	latencies    []time.Duration
	statuses     map[string]int64
	firstFailure string
}

func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	target := flags.String("target", "", "host:port on the loopback interface")
	connections := flags.Int("connections", 8, "connections")
	concurrency := flags.Int("concurrency", 50, "calls in flight on each connection")
	seconds := flags.Float64("seconds", 2, "how long, at most 120")
	maxCalls := flags.Int64("max-calls", 10_000_000, "how many calls at most")
	size := flags.Int("size", 1024, "octets of a message")
	timeout := flags.Duration("timeout", 10*time.Second, "deadline of each call; 0 for none")
	method := flags.String("method", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "full method")
	tokenFile := flags.String("token-file", "", "file with the token to send as authorization")
	caFile := flags.String("ca", "", "authority of the server's certificate; without it plaintext is spoken")
	certFile := flags.String("cert", "", "client certificate")
	keyFile := flags.String("key", "", "its key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *seconds > 120 || *seconds <= 0 {
		return errors.New("-seconds: more than 0, at most 120")
	}
	host, _, err := net.SplitHostPort(*target)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-target %s: only addresses of the loopback interface are put under load", *target)
	}
	transport, err := transportCredentials(*caFile, *certFile, *keyFile)
	if err != nil {
		return err
	}
	background := context.Background()
	if *tokenFile != "" {
		token, err := os.ReadFile(*tokenFile)
		if err != nil {
			return err
		}
		bearer := "Bearer " + strings.TrimSpace(string(token))
		background = metadata.AppendToOutgoingContext(background, "authorization", bearer)
	}

	workers := make([]worker, *connections**concurrency)
	var calls atomic.Int64
	var wait sync.WaitGroup
	request := make([]byte, *size)
	started := time.Now()
	end := started.Add(time.Duration(*seconds * float64(time.Second)))
	for connection := range *connections {
		client, err := grpc.NewClient(*target, grpc.WithTransportCredentials(transport),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			return err
		}
		defer client.Close()
		for index := range *concurrency {
			found := &workers[connection**concurrency+index]
			found.statuses = map[string]int64{}
			wait.Add(1)
			go func() {
				defer wait.Done()
				for time.Now().Before(end) && calls.Add(1) <= *maxCalls {
					found.call(background, client, *method, &request, *timeout)
				}
			}()
		}
	}
	wait.Wait()
	return json.NewEncoder(os.Stdout).Encode(summary(workers, time.Since(started)))
}

// call makes one call and notes how it went.
func (found *worker) call(background context.Context, client *grpc.ClientConn, method string, request *[]byte, timeout time.Duration) {
	ctx, cancel := background, context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(background, timeout)
	}
	defer cancel()
	var answer []byte
	began := time.Now()
	err := client.Invoke(ctx, method, request, &answer)
	found.latencies = append(found.latencies, time.Since(began))
	found.statuses[status.Code(err).String()]++
	if err != nil && found.firstFailure == "" {
		found.firstFailure = err.Error()
	}
}

func transportCredentials(caFile, certFile, keyFile string) (credentials.TransportCredentials, error) {
	if caFile == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func summary(workers []worker, elapsed time.Duration) figures {
	all := figures{Statuses: map[string]int64{}, ElapsedSecs: elapsed.Seconds()}
	var latencies []time.Duration
	var total time.Duration
	for _, found := range workers {
		latencies = append(latencies, found.latencies...)
		for code, count := range found.statuses {
			all.Statuses[code] += count
			all.Calls += count
			if code != "OK" {
				all.Failed += count
			}
		}
		if all.FirstFailure == "" {
			all.FirstFailure = found.firstFailure
		}
	}
	if len(latencies) == 0 {
		return all
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	for _, latency := range latencies {
		total += latency
	}
	micros := func(latency time.Duration) float64 { return float64(latency.Nanoseconds()) / 1000 }
	all.MeanMicros = micros(total) / float64(len(latencies))
	all.P50Micros = micros(latencies[len(latencies)/2])
	all.P99Micros = micros(latencies[len(latencies)*99/100])
	all.MaximumMicros = micros(latencies[len(latencies)-1])
	return all
}

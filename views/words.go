package views

import (
	"net/netip"
	"slices"
	"strings"
)

// url turns an address of an event, HOST:PORT->PORT/PROTOCOL, into what a browser takes,
// with host in place of an address that stands for all.
func url(address, host string) string {
	outside, inside, ok := strings.Cut(address, "->")
	if !ok || !strings.HasSuffix(inside, "/tcp") {
		return address
	}
	at := strings.LastIndexByte(outside, ':')
	if at < 0 {
		return address
	}
	return link(strings.Trim(outside[:at], "[]"), outside[at+1:], strings.TrimSuffix(inside, "/tcp"), host)
}

// link is a URL for a published TCP port. Most ports of stacks speak HTTP;
// those known to be something else are left as they are.
func link(ip, port, inside, host string) string {
	if host == "" {
		host = "localhost"
	}
	if address, err := netip.ParseAddr(ip); err == nil && !address.IsUnspecified() {
		host = ip
		if address.Is6() {
			host = "[" + ip + "]"
		}
		if address.IsLoopback() {
			host = "localhost"
		}
	}
	scheme := "http"
	switch inside {
	case "443", "8443":
		scheme = "https"
	case "5432", "3306", "6379", "27017", "5672", "9042", "22", "1433", "9092", "11211":
		return host + ":" + port
	}
	return scheme + "://" + host + ":" + port
}

// links turns addresses into what people open, each once.
func links(addresses []string, host string) []string {
	var out []string
	for _, a := range addresses {
		if l := url(a, host); !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

package views

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/events"
)

// progress is "41.2/98.0 Mblocks, 42%: text".
func progress(p events.Progress) string {
	if p.Done == 0 && p.Total == 0 && p.Unit == "" {
		return p.Text
	}
	var parts []string
	amount := number(p.Done)
	if p.Total > 0 {
		amount = fmt.Sprintf("%s/%s", amount, number(p.Total))
	}
	if p.Unit != "" {
		amount += " " + p.Unit
	}
	parts = append(parts, amount)
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", int(100*p.Done/p.Total)))
	}
	text := strings.Join(parts, ", ")
	if p.Text != "" {
		text += ": " + p.Text
	}
	return text
}

func number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}

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

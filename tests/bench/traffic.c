/* Paced traffic of known flows: `traffic INTERFACE RATE SECONDS` puts RATE connections a second on the interface, each of
 * eight packets of both directions: handshake, 200 bytes of question, 1000 of answer, an end from either side. No two
 * connections have the same addresses and ports. Prints how many connections and packets there were. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define PACKETS 8
#define LARGEST 1100

struct step { int answer; int flags; int payload; };
static const struct step STEPS[PACKETS] = {
	{0, TH_SYN, 0}, {1, TH_SYN | TH_ACK, 0}, {0, TH_ACK, 0}, {0, TH_ACK | TH_PUSH, 200},
	{1, TH_ACK | TH_PUSH, 1000}, {0, TH_ACK | TH_FIN, 0}, {1, TH_ACK | TH_FIN, 0}, {0, TH_ACK, 0},
};

static uint16_t sum(const void *data, size_t size, uint32_t value)
{
	const uint16_t *words = data;
	for (; size > 1; size -= 2)
		value += *words++;
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return ~value;
}

/* One frame of connection `number`; its size. */
static size_t frame(unsigned char *at, long long number, int which, uint32_t *next)
{
	const struct step *step = &STEPS[which];
	struct ether_header *ethernet = (void *)at;
	struct iphdr *ip = (void *)(at + sizeof(*ethernet));
	struct tcphdr *tcp = (void *)(ip + 1);
	size_t size = sizeof(*ethernet) + sizeof(*ip) + sizeof(*tcp) + step->payload;
	uint32_t client = htonl(0x0a4d0000 | ((number >> 15) & 0xffff)), server = htonl(0xc0000201);
	uint16_t port = htons(20000 + (number & 0x7fff)), service = htons(443);

	memset(at, 0, size);
	memset(ethernet->ether_dhost, 2, 12);
	ethernet->ether_type = htons(ETHERTYPE_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = htons(size - sizeof(*ethernet));
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = step->answer ? server : client;
	ip->daddr = step->answer ? client : server;
	ip->check = sum(ip, sizeof(*ip), 0);
	tcp->source = step->answer ? service : port;
	tcp->dest = step->answer ? port : service;
	tcp->seq = htonl(next[step->answer]);
	tcp->ack_seq = htonl(step->flags & TH_ACK ? next[!step->answer] : 0);
	tcp->doff = 5;
	tcp->window = htons(64240);
	((unsigned char *)tcp)[13] = step->flags;
	next[step->answer] += step->payload + !!(step->flags & (TH_SYN | TH_FIN));
	return size;
}

int main(int count, char **words)
{
	if (count != 4)
		return 2;
	long long rate = atoll(words[2]), all = rate * atoll(words[3]), sent = 0;
	struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(words[1]), .sll_halen = 6};
	int out = socket(AF_PACKET, SOCK_RAW, 0);
	if (out < 0 || !where.sll_ifindex || bind(out, (void *)&where, sizeof(where))) {
		perror(words[1]);
		return 1;
	}
	static unsigned char buffers[PACKETS][LARGEST];
	struct iovec pieces[PACKETS];
	struct mmsghdr messages[PACKETS];
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long long number = 0; number < all; number++) {
		uint32_t next[2] = {1000, 5000};
		memset(messages, 0, sizeof(messages));
		for (int which = 0; which < PACKETS; which++) {
			pieces[which].iov_base = buffers[which];
			pieces[which].iov_len = frame(buffers[which], number, which, next);
			messages[which].msg_hdr.msg_iov = &pieces[which];
			messages[which].msg_hdr.msg_iovlen = 1;
		}
		for (int done = 0, more; done < PACKETS; done += more, sent += more) {
			more = sendmmsg(out, messages + done, PACKETS - done, 0);
			if (more < 0) {
				perror("sendmmsg");
				return 1;
			}
		}
		/* A nap of a millisecond at most too late: late ones go at once, so the rate is kept. */
		long long due = number * SECOND / rate;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (due - ((now.tv_sec - begin.tv_sec) * SECOND + now.tv_nsec - begin.tv_nsec) > 1000000) {
			struct timespec nap = {0, 1000000};
			nanosleep(&nap, NULL);
		}
	}
	printf("%lld %lld\n", all, sent);
	return 0;
}

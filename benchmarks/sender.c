/* Sends frames out of an interface at a steady rate, for the benchmark of listening; nothing else uses it.

   sender INTERFACE FRAMES RATE SECONDS CORE

   FRAMES holds each frame behind its length, 32 bits of this machine's order. Prints one line:
   frames sent, seconds taken, processor seconds. */

#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { AT_ONCE = 64, MOST = 1 << 16 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(atoi(argv[5]), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores)) fail("core");

    FILE *file = fopen(argv[2], "rb");
    if (!file) fail(argv[2]);
    static struct iovec frames[MOST];
    size_t count = 0;
    uint32_t length;
    while (count < MOST && fread(&length, 4, 1, file) == 1) {
        frames[count].iov_base = malloc(length);
        frames[count].iov_len = length;
        if (fread(frames[count++].iov_base, 1, length, file) != length) fail("frames");
    }

    int given = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;
    struct sockaddr_ll there = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    if (given < 0 || bind(given, (struct sockaddr *)&there, sizeof there)) fail(argv[1]);
    if (setsockopt(given, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes)) fail("bypass");

    static struct mmsghdr messages[AT_ONCE];
    uint64_t sent = 0, wanted = (uint64_t)(rate * seconds);
    double begin = now();
    while (sent < wanted) {
        if (sent > rate * (now() - begin)) continue;
        unsigned batch = wanted - sent < AT_ONCE ? (unsigned)(wanted - sent) : AT_ONCE;
        for (unsigned i = 0; i < batch; i++) {
            messages[i].msg_hdr.msg_iov = &frames[(sent + i) % count];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int done = sendmmsg(given, messages, batch, 0);
        if (done < 0) fail("send");
        sent += (uint64_t)done;
    }
    double took = now() - begin;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("%llu %.3f %.3f\n", (unsigned long long)sent, took,
           used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}

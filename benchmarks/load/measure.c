/* The server from outside: CPU time and memory; and latencies as the clients see them. */
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) return 0;
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void read_process(int pid, struct reading *r)
{
    char name[48], line[1024];
    clockid_t clock;
    /* The process clock includes the running thread's current time slice and
     * the threads that have ended, to the nanosecond; /proc has ticks of 10 ms. */
    if (clock_getcpuclockid(pid, &clock)) return;
    r->cpu += clock_ns(clock);

    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r");
    if (f) {
        unsigned long user, system;
        char *after = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (after && sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                            &user, &system) == 2) {
            r->user += user;
            r->system += system;
        }
        fclose(f);
    }
}

static void read_resident(int pid, struct reading *r)
{
    char name[48], line[256];
    /* statm is cheaper, but the kernel keeps it only approximately. */
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(name, "r");
    if (!f) return;
    unsigned long kilobytes;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %lu kB", &kilobytes) == 1) r->resident += kilobytes * 1024;
    fclose(f);
}

static void read_tree(int pid, bool resident, struct reading *r)
{
    char name[512];
    read_process(pid, r);
    if (resident) read_resident(pid, r);
    snprintf(name, sizeof name, "/proc/%d/task", pid);
    DIR *threads = opendir(name);
    if (!threads) return;
    for (struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%s/children", pid, entry->d_name);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        for (int child; fscanf(f, "%d", &child) == 1;) read_tree(child, resident, r);
        fclose(f);
    }
    closedir(threads);
}

struct reading read_server(bool resident)
{
    struct reading r = {0};
    read_tree(set.pid, resident, &r);
    if (!r.cpu) die("the server (process %d) is gone", set.pid);
    return r;
}

double system_share(struct reading a, struct reading b)
{
    double user = (double)(b.user - a.user), system = (double)(b.system - a.system);
    return ratio(system, user + system);
}

/* Buckets of 1/32 of a power of two: a quantile is exact to about 3 %. */

#define STEPS 32
static uint64_t bucket[64 * STEPS], measured;

void count_latency(uint64_t ns)
{
    if (ns < STEPS) ns = STEPS;
    int power = 63 - __builtin_clzll(ns);
    bucket[power * STEPS + (int)((ns >> (power - 5)) & (STEPS - 1))]++;
    measured++;
}

double latency_us(double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)measured), seen = 0;
    if (measured && rank >= measured) rank = measured - 1;
    for (int i = 0; i < 64 * STEPS; i++)
        if ((seen += bucket[i]) > rank)
            return (double)(1ull << (i / STEPS)) * (1 + (double)(i % STEPS) / STEPS) / 1e3;
    return 0;
}

void forget_latencies(void)
{
    memset(bucket, 0, sizeof bucket);
    measured = 0;
}

// Dynamically batching instances behind a least-outstanding router: the tuned loop that the engine is measured against.
//
// The rules are those of the scenario that benchmarks/work.py writes, and nothing more:
//   * a request goes to the instance with the fewest requests inside (waiting or executing); of several, to the one
//     chosen longest ago, in index order before any was chosen;
//   * a free instance launches when max_batch requests wait or the oldest has waited max_delay_ns (textbook rule),
//     and takes min(waiting, max_batch) of them, oldest first;
//   * what happens on one instant: the instances' events in index order, then the arrival.
//
// How it is tuned: one pending event an instance (its deadline while it is free, the end of its batch while it is
// busy), packed with the instance's number into one integer so that the earliest is a plain minimum; the router's
// key packed the same way; both scanned linearly; a queue is a ring of request numbers; no allocation in the loop
// but the growth of a ring. Times are int64 nanoseconds, below 2^51.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace {

constexpr int kInstanceBits = 12;
constexpr int64_t kInstanceMask = (int64_t{1} << kInstanceBits) - 1;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Router key: requests inside << kChosenBits | 1 + number of the request that last chose the instance.
constexpr int kChosenBits = 40;
constexpr int64_t kOneInside = int64_t{1} << kChosenBits;
constexpr int64_t kChosenMask = kOneInside - 1;

struct alignas(64) Instance {
  uint32_t* ring;  // request numbers, waiting ones at [head, tail) modulo its size
  uint32_t mask;
  uint32_t head;
  uint32_t tail;
  int32_t executing;  // requests in the batch under way, 0 while free
  std::unique_ptr<uint32_t[]> owner;
};

void grow(Instance& instance) {
  const uint32_t old_size = instance.mask + 1;
  auto larger = std::make_unique<uint32_t[]>(size_t{old_size} * 2);
  const uint32_t waiting = instance.tail - instance.head;
  for (uint32_t k = 0; k < waiting; ++k) larger[k] = instance.ring[(instance.head + k) & instance.mask];
  instance.owner = std::move(larger);
  instance.ring = instance.owner.get();
  instance.mask = old_size * 2 - 1;
  instance.head = 0;
  instance.tail = waiting;
}

inline int64_t earliest(const int64_t* __restrict event, int n) {
  int64_t best = event[0];
  for (int i = 1; i < n; ++i) best = std::min(best, event[i]);
  return best;
}

inline int least_outstanding(const int64_t* __restrict key, int n) {
  int64_t best = key[0];
  int chosen = 0;
  for (int i = 1; i < n; ++i) {
    const bool less = key[i] < best;
    best = less ? key[i] : best;
    chosen = less ? i : chosen;
  }
  return chosen;
}

}  // namespace

// Returns the number of batches, or -1 where the packing has no room.
extern "C" int64_t batching(int64_t n_requests, const int64_t* __restrict arrival_ns, int32_t n_instances,
                            int32_t max_batch, int64_t max_delay_ns, const int64_t* __restrict service_ns,
                            int64_t* __restrict start_ns, int64_t* __restrict end_ns, int32_t* __restrict instance_of,
                            int64_t* __restrict batch_of) {
  if (n_instances < 1 || n_instances > kInstanceMask + 1 || n_requests >= kChosenMask) return -1;
  const int n = n_instances;
  std::vector<Instance> instances(n);
  std::vector<int64_t> event_of(n, kNever);
  std::vector<int64_t> key_of(n);
  for (int i = 0; i < n; ++i) {
    Instance& instance = instances[i];
    instance.owner = std::make_unique<uint32_t[]>(1024);
    instance.ring = instance.owner.get();
    instance.mask = 1023;
    instance.head = instance.tail = 0;
    instance.executing = 0;
    key_of[i] = i;
  }
  int64_t* __restrict event = event_of.data();
  int64_t* __restrict key = key_of.data();
  int64_t n_batches = 0;

  const auto launch = [&](Instance& instance, int i, int64_t now) {
    const uint32_t size = std::min<uint32_t>(instance.tail - instance.head, max_batch);
    const int64_t end = now + service_ns[size];
    for (uint32_t k = 0; k < size; ++k) {
      const uint32_t request = instance.ring[(instance.head + k) & instance.mask];
      start_ns[request] = now;
      end_ns[request] = end;
      batch_of[request] = n_batches;
    }
    instance.head += size;
    instance.executing = static_cast<int32_t>(size);
    event[i] = end << kInstanceBits | i;
    ++n_batches;
  };

  // The batch of instance i ends, or its oldest request has waited long enough.
  const auto happen = [&](int64_t packed) {
    const int i = static_cast<int>(packed & kInstanceMask);
    const int64_t now = packed >> kInstanceBits;
    Instance& instance = instances[i];
    key[i] -= instance.executing * kOneInside;
    instance.executing = 0;
    const uint32_t waiting = instance.tail - instance.head;
    if (waiting == 0) {
      event[i] = kNever;
      return;
    }
    const int64_t deadline = arrival_ns[instance.ring[instance.head & instance.mask]] + max_delay_ns;
    if (waiting >= static_cast<uint32_t>(max_batch) || deadline <= now) {
      launch(instance, i, now);
    } else {
      event[i] = deadline << kInstanceBits | i;
    }
  };

  int64_t next = kNever;
  for (int64_t request = 0; request < n_requests; ++request) {
    const int64_t now = arrival_ns[request];
    const int64_t horizon = (now + 1) << kInstanceBits;
    while (next < horizon) {
      happen(next);
      next = earliest(event, n);
    }
    const int i = least_outstanding(key, n);
    Instance& instance = instances[i];
    key[i] = (((key[i] >> kChosenBits) + 1) << kChosenBits) | (request + 1 + n);
    instance_of[request] = i;
    if (instance.tail - instance.head > instance.mask) grow(instance);
    instance.ring[instance.tail & instance.mask] = static_cast<uint32_t>(request);
    ++instance.tail;
    if (instance.executing == 0) {
      const uint32_t waiting = instance.tail - instance.head;
      if (waiting >= static_cast<uint32_t>(max_batch) || max_delay_ns == 0) {
        launch(instance, i, now);
        next = earliest(event, n);
      } else if (waiting == 1) {
        event[i] = (now + max_delay_ns) << kInstanceBits | i;
        next = std::min(next, event[i]);
      }
    }
  }
  while (next != kNever) {
    happen(next);
    next = earliest(event, n);
  }
  return n_batches;
}

// First come, first served at c servers: the Kiefer-Wolfowitz recursion.
//
// The vector of the instants at which each server is free next is kept in increasing order; a request starts at the
// earliest of them or on arrival, whichever is later (J. Kiefer, J. Wolfowitz, "On the theory of queues with many
// servers", Trans. AMS 78, 1955). Times are int64 nanoseconds. It knows no event order: only times are compared.

#include <algorithm>
#include <cstdint>
#include <vector>

extern "C" void multi_server(int64_t n_requests, const int64_t* __restrict arrival_ns,
                             const int64_t* __restrict service_ns, int32_t n_servers, int64_t* __restrict start_ns,
                             int64_t* __restrict end_ns) {
  std::vector<int64_t> free_of(n_servers, 0);
  int64_t* __restrict free_ns = free_of.data();
  for (int64_t request = 0; request < n_requests; ++request) {
    const int64_t start = std::max(arrival_ns[request], free_ns[0]);
    const int64_t end = start + service_ns[request];
    start_ns[request] = start;
    end_ns[request] = end;
    int place = 0;
    for (; place + 1 < n_servers && free_ns[place + 1] < end; ++place) free_ns[place] = free_ns[place + 1];
    free_ns[place] = end;
  }
}

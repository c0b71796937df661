#ifndef BITVEIL_STOCHASTIC_BINARY_H_
#define BITVEIL_STOCHASTIC_BINARY_H_

// A layer of stochastic binary neurons: a bit is 1 where its logit exceeds a random threshold.
//
// Each neuron has a linear feedback shift register of 32 bits (Galois form, x^32 + x^22 + x^2 + x +
// 1, period 2^32 - 1). It shifts once for each bit of the random number, so that a new number has
// no bit of the last one. The number is a place in the table of thresholds, which are quantiles of
// the logistic distribution.

#include "ap_int.h"

namespace nnet {

struct stochastic_binary_config {
    static const unsigned n_in = 1;
    static const unsigned draw_bits = 10;
};

template <class data_T, class res_T, typename CONFIG_T>
void stochastic_binary(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                       const typename CONFIG_T::threshold_t threshold[1 << CONFIG_T::draw_bits]) {
    #pragma HLS PIPELINE II=1
    static ap_uint<32> state[CONFIG_T::n_in];
    static bool started = false;
    #pragma HLS ARRAY_PARTITION variable=state complete

    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        ap_uint<32> next = started ? state[i] : ap_uint<32>(CONFIG_T::seed(i));
        for (unsigned shift = 0; shift < CONFIG_T::draw_bits; shift++) {
            #pragma HLS UNROLL
            bool out = next[0];
            next >>= 1;
            if (out) {
                next ^= 0x80200003u;
            }
        }
        state[i] = next;
        ap_uint<CONFIG_T::draw_bits> place = next;
        res[i] = data[i] > threshold[place];
    }
    started = true;
}

} // namespace nnet

#endif

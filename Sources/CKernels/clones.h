// Functions whose loops the compiler writes once per instruction set; the fastest is chosen when the program starts.
#ifndef TSR_CLONES_H
#define TSR_CLONES_H

// The choice runs before a sanitizer has set itself up.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TSR_CLONES
#elif defined(__x86_64__)
#define TSR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TSR_CLONES
#endif

#endif

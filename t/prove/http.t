#!/usr/bin/perl

# 20,000 decisions over HTTP: t/oracle.t in length.

$ENV{ORACLE_N} //= 20_000;
do './t/oracle.t' or die $@ || $!;
